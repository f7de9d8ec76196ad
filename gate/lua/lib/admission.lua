-- Admission: whether an amount may be spent, by credits, or grace in their place; by what the day
-- has remaining; by the budgets that the request counts in.
--
-- Judges a deed: `amount` is what is wanted, and what is admitted afterwards; `grants` are read for
-- accounts with scoped grants only; `matched` are the budgets, or nil.

-- Says whether the current grant covers the amount by itself.
local function is_covered(account, deed)
  return not deed.grants and byte(account.left_of_others) ~= MINUS
    and not less(account.left_of_current, deed.amount)
end

-- Lowers the amount to the credits that there are, with the grace for the class of traffic, if need
-- be. Says whether they reach for `need`.
local function lower_to_credits(account, deed, need, labels, traffic_class)
  local credits = deed.grants and deed.grants:spendable(labels) or spendable_of(account)
  if less(credits, need) then
    local grace = find_grace(account, traffic_class)
    if not grace then return false end
    credits = exact_sum(account.key, credits, grace.amount)
    if less(credits, need) then return false end
    deed.uses_grace = true
    deed.begins_grace = grace.began_ms == ABSENT
  end
  deed.amount = smaller(deed.amount, credits)
  return true
end

-- Says whether the current grant has the whole amount, and is not used up by it.
local function fits_current_grant(account, deed, covered)
  if deed.grants then return false end
  if account.current_grant == OVERAGE then return true end
  if deed.amount == account.left_of_current then return false end
  return covered or less(deed.amount, account.left_of_current)
end

-- Judges `need`, and how much of the deed's amount (no less than `need`) may be spent. Returns the
-- reason against it, and the budget if that is exceeded; or nil, and the deed says how.
local function reason_against(account, deed, need, labels, traffic_class)
  if account.status ~= 'active' then return 'ACCOUNT_SUSPENDED' end
  local covered = is_covered(account, deed)
  if not covered and not lower_to_credits(account, deed, need, labels, traffic_class) then
    return 'INSUFFICIENT_CREDITS'
  end
  local is_managed = not account.has.management_off
  if is_managed and has_daily_limit(account) then
    if less(account.day_remaining, need) then return 'DAILY_LIMIT_EXCEEDED' end
    deed.amount = smaller(deed.amount, account.day_remaining)
  end
  if is_managed and deed.matched then
    local budget = exceeded_budget(deed.matched, need)
    if budget then return 'BUDGET_EXCEEDED', budget end
    deed.amount = bounded_by_budgets(deed.matched, deed.amount)
  end
  deed.fits_current_grant = fits_current_grant(account, deed, covered)
end

-- Returns the reply to a denied request. The look tells what could be spent instead: scoped grants
-- that apply as taken, grace as returned.
local function denied(account, deed, reason, budget, labels, traffic_class)
  local grace = find_grace(account, traffic_class)
  local scoped = deed.grants and encode_parts(deed.grants:scoped_parts(labels)) or ABSENT
  local grace_part = grace and encode_part(OVERAGE, grace.amount) or ABSENT
  local budgets = deed.matched and encode_budgets(deed.matched) or ABSENT
  local allocation = encode_allocation(scoped, grace_part, ABSENT, budgets)
  local look = encode_look(account, {
    management_off = account.has.management_off,
    uses_grace = grace ~= nil,
    allocation = allocation ~= NOTHING_MOVED and allocation or ABSENT,
  })
  return {'denied', reason, look, budget and budget.id or '', budget and budget.scope or ''}
end

-- Says whether a price in this currency, or a plain amount, may be charged to the account.
local function is_currency_of(account, currency)
  return currency == ABSENT or currency == account.currency
end

-- Judges `need`, and how much of the deed's amount may be spent. Returns the reply to a denied
-- request, or nil.
local function judge(account, deed, need, labels, traffic_class)
  local reason, budget = reason_against(account, deed, need, labels, traffic_class)
  if reason then return denied(account, deed, reason, budget, labels, traffic_class) end
end
