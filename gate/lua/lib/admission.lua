-- Admission: whether an amount may be spent, by credits, or grace in their place; by what the day
-- has remaining; by the budgets that the request counts in. What costs nothing may always be spent,
-- but for a suspended account.
--
-- Judges a deed: `amount` is what is wanted, and what is admitted afterwards; `grants` are read for
-- accounts with scoped grants only; `matched` are the budgets, or nil.

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

-- Judges `need`, and how much of the deed's amount (no less than `need`) may be spent. Returns the
-- reason against it, and the budget if that is exceeded; or nil, and the deed says whether the
-- current grant has the whole amount, and is not used up by it.
local function reason_against(account, deed, need, labels, traffic_class)
  if account.status ~= 'active' then return 'ACCOUNT_SUSPENDED' end
  local has_scoped, left_of_current = deed.grants ~= nil, account.left_of_current
  local is_free = need == '0'
  local covered = is_free or not has_scoped and byte(account.left_of_others) ~= MINUS
    and not less(left_of_current, deed.amount) -- by the current grant alone
  if not covered and not lower_to_credits(account, deed, need, labels, traffic_class) then
    return 'INSUFFICIENT_CREDITS'
  end
  if not is_free and not account.has.management_off then
    if has_daily_limit(account) then
      if less(account.day_remaining, need) then return 'DAILY_LIMIT_EXCEEDED' end
      if deed.amount ~= need then deed.amount = smaller(deed.amount, account.day_remaining) end
    end
    local matched = deed.matched
    if matched then
      local budget = exceeded_budget(matched, need)
      if budget then return 'BUDGET_EXCEEDED', budget end
      if deed.amount ~= need then deed.amount = bounded_by_budgets(matched, deed.amount) end
    end
  end
  local amount = deed.amount
  deed.fits_current_grant = not has_scoped and (account.current_grant == OVERAGE
    or amount ~= left_of_current and (covered or less(amount, left_of_current)))
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
  return {'denied', reason, look, budget and budget.id or '', budget and labels_of(budget) or ''}
end

-- Judges `need`, and how much of the deed's amount may be spent. Returns the reply to a denied
-- request, or nil.
local function judge(account, deed, need, labels, traffic_class)
  local reason, budget = reason_against(account, deed, need, labels, traffic_class)
  if reason then return denied(account, deed, reason, budget, labels, traffic_class) end
end
