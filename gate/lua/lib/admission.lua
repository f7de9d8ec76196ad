-- Whether an amount may be spent: credits, or grace in their place; the day's room; the budgets that the request meets.

-- What the account's grace adds for a class of traffic, or nil; and whether it begins now.
local function grace_for(account, class)
  if class == '' or not account.has.g then return nil end
  for each in redis.call('HGET', account.key, 'gr'):gmatch('[^\n]+') do
    local duration, amount, began, name = each:match('^(%S+) (%S+) (%S+) (.*)$')
    if name == class then
      if duration ~= '-' and began ~= '-' and account.now >= tonumber(began) + tonumber(duration) then return nil end
      return amount, began == '-'
    end
  end
end

local function begin_grace(account, class)
  local graces = {}
  for each in redis.call('HGET', account.key, 'gr'):gmatch('[^\n]+') do
    local bounds, name = each:match('^(%S+ %S+) %S+ (.*)$')
    graces[#graces + 1] = name == class and bounds .. ' ' .. account.at .. ' ' .. name or each
  end
  redis.call('HSET', account.key, 'gr', table.concat(graces, '\n'))
end

-- Judges `need`, and how much of `want` (no less) may be spent. Returns {reason = ..., budget = ...}, or {amount, grace, begins, plain}:
-- `plain` where the grant being burned has it all, and is not used up by it. `funds` only for accounts with scoped grants.
local function admitted(account, need, want, class, funds, labels, matched)
  if account.st ~= 'active' then return {reason = 'ACCOUNT_SUSPENDED'} end
  local amount, grace, begins = want, nil, false
  local covered = not (funds or byte(account.ol) == 45 or less(account.gl, want)) -- by the grant being burned
  if not covered then
    local bound = funds and funds:spendable(labels) or spendable_of(account)
    if less(bound, need) then
      grace, begins = grace_for(account, class)
      if not grace then return {reason = 'INSUFFICIENT_CREDITS'} end
      bound = exact_sum(account.key, bound, grace)
      if less(bound, need) then return {reason = 'INSUFFICIENT_CREDITS'} end
    end
    if less(bound, amount) then amount = bound end
  end
  if is_limited(account) then
    if less(account.room, need) then return {reason = 'DAILY_LIMIT_EXCEEDED'} end
    if amount ~= need and less(account.room, amount) then amount = account.room end
  end
  if matched and not account.has.o then
    local budget = exceeded(matched, need)
    if budget then return {reason = 'BUDGET_EXCEEDED', budget = budget} end
    if amount ~= need then amount = bounded(matched, amount) end
  end
  local plain = not funds and (account.g == '0' or amount ~= account.gl and (covered or less(amount, account.gl)))
  return {amount = amount, grace = grace ~= nil, begins = begins, plain = plain}
end

-- What a denied script returns. The look tells what could be spent instead: scoped grants that apply as taken, grace as returned.
local function denied(account, verdict, class, funds, labels, matched)
  local grace = grace_for(account, class)
  local flags = (account.has.o and 'o' or '') .. (grace and 'g' or '')
  local extras = table.concat({
    funds and text_of(funds:applying(labels)) or '-', grace and '0:' .. grace or '-', '-', matched and budgets_text(matched) or '-',
  }, '/')
  local look = effect_line('B', account, '0', {}, flags, extras == '-/-/-/-' and '-' or extras)
  local budget = verdict.budget
  return {'denied', verdict.reason, look, budget and budget.id or '', budget and budget.labels or ''}
end
