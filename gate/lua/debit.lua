#!lua flags=allow-oom
-- debit: charges what was used. With a hold it settles that; without, it checks and spends.
-- Runs even when Redis is out of memory: what it charges has, as a rule, already been used.
--
-- KEYS[1] account   KEYS[2] replay record   KEYS[3] journal   KEYS[4] grants beside the account   KEYS[5] its budgets
--   and only with a hold:   KEYS[6] the hold   KEYS[7] holds by expiry
-- ARGV[1] epoch             ARGV[2] fingerprint of the request's content   ARGV[3] how long to remember the reply, ms
-- ARGV[4] amount, nanos     ARGV[5] currency of the price, or - for a plain amount
-- ARGV[6] labels: "\nkey=value\n...", sorted, or empty   ARGV[7] class of traffic, or empty
-- ARGV[8] method            ARGV[9] request, as received                   ARGV[10] pricing, or empty
--   and only for what is never denied, with a hold or incurred:
-- ARGV[11] hold id, or -    ARGV[12] the hold's member in the holds by expiry, or -   ARGV[13] 1 if incurred, else 0
-- ARGV[14] least that spendable, and a limited day's room, must be, and ARGV[15] most that used may be (and room at least its
--   negative), before the amount is taken, for the sums to stay within int64 whatever settings may follow
--
-- Returns {'ok', effect} | {'replayed', brief} | {'denied', reason, look, budget's id, its labels} | {'refused', reason} | {'absent'}
--   | {'due'} (a grant expires or begins first: process_due_grants) | {'stale'}.
-- Precedence: REQUEST_ID_REUSED, absent, due, HOLD_NOT_FOUND, CURRENCY_MISMATCH, AMOUNT_OUT_OF_RANGE (what cannot be denied),
--   ACCOUNT_SUSPENDED, INSUFFICIENT_CREDITS, DAILY_LIMIT_EXCEEDED, BUDGET_EXCEEDED (what can), stale.
-- A hold that has expired is charged as incurred, and the effect says so (flag l).
-- Writes the journal, the account, its grants and budgets, the replay record, and removes the hold; nothing unless it returns 'ok' (a
-- field lent for adding up aside).
-- @include account
-- @include journal
-- @include replay
-- @include hold
-- @include thresholds
-- @include grants
-- @include grant_changes
-- @include budgets
-- @include admission
local account_key, replay_key, journal_key, grants_key, budgets_key, hold_key, expiries_key = unpack(KEYS)
local epoch, fingerprint, replay_ttl_ms, amount, currency, labels, class, method, request, pricing = unpack(ARGV, 1, 10)
local hold_id, member, incurred, lowest, most_used = unpack(ARGV, 11)

local seen = replay(replay_key, fingerprint)
if seen then return seen end
local account = read_account(account_key, epoch)
if not account then return {'absent'} end
if is_due(account) then return {'due'} end

local hold, late = NO_HOLD, false
if hold_key then
  hold = read_hold(hold_key, hold_id, epoch)
  if not hold then return {'refused', 'HOLD_NOT_FOUND'} end
  late = is_expired(hold, account)
end
if currency ~= '-' and currency ~= account.cur then return {'refused', 'CURRENCY_MISMATCH'} end

local returned = hold.state == 'o'
if hold.state == 'x' then hold.amount, hold.pins, hold.budgets = '0', '-', '-' end -- its credits went back when it expired
local settles = hold.id and not late
local returns_today, counts_today = hold.day == account.day, not hold.id or late or hold.day == account.day
local funds = account.has.s and grants_of(account, grants_key, journal_key) or nil
local freed = returned and account.budgeted and budgets_held(account, budgets_key, hold.budgets) or nil
local matched = settles and freed or budgets_matched(account, budgets_key, labels)

local verdict = {}
if incurred == '1' or hold.id then
  local function leaves_int64()
    if less(most_used, account.used) then return true end
    local same_day = returns_today or not counts_today
    if returned and same_day and not less(hold.amount, amount) then return false end -- it takes no more than the hold gives back
    local sp, room = spendable_of(account), account.room
    if returned then
      sp = exact_sum(account_key, sp, hold.amount)
      if returns_today then room = exact_sum(account_key, room, hold.amount) end
    end
    local goes_back = {} -- to budgets, from the hold
    for _, budget in ipairs(freed or NONE) do goes_back[budget.id] = not budget.past end
    for _, budget in ipairs(matched or NONE) do
      local counted = exact_sum(account_key, budget.limit, negated(budget.room))
      if less(most_used, counted) then
        if not goes_back[budget.id] then return true end
        if less(most_used, exact_sum(account_key, counted, negated(hold.amount))) then return true end
      end
    end
    return less(sp, lowest) or counts_today and less(room, byte(account.tail) == 45 and negated(most_used) or lowest)
  end
  if leaves_int64() then return {'refused', 'AMOUNT_OUT_OF_RANGE'} end
  verdict.plain = not funds and pins_current(hold, account)
    and (account.g == '0' or less(amount, account.gl) or settles and not less(hold.amount, amount))
else
  verdict = admitted(account, amount, amount, class, funds, labels, matched)
  if verdict.reason then return denied(account, verdict, class, funds, labels, matched) end
end

local parts, back, lapsed
if not verdict.plain then
  funds = funds or grants_of(account, grants_key, journal_key)
  back = funds:parse(hold.pins)
  if settles then
    local pinned, rest = funds:first_of(back, amount)
    parts = funds:joined(pinned, rest == '0' and {} or funds:plan(rest, labels))
  else
    funds:expect(back)
    parts = funds:plan(amount, labels)
  end
  lapsed = funds:lapsing(back, settles and parts or {})
end
local extras = '-'
if parts then
  extras = text_of(parts) .. '/' .. text_of(back) .. '/' .. text_of(lapsed)
elseif matched then
  extras = (amount == '0' and '-' or account.g .. ':' .. amount) .. '/' .. hold.pins .. '/-'
end
if extras ~= '-' then extras = extras .. '/' .. (matched and budgets_text(matched) or '-') end
if late and freed and #freed > 0 then
  extras = (extras == '-' and table.concat({account.g .. ':' .. amount, hold.pins, '-', '-'}, '/') or extras) .. '/' .. budgets_text(freed)
end
local flags = (late and 'l' or '') .. (incurred == '1' and 'i' or '') .. (account.has.o and 'o' or '')
  .. (verdict.grace and 'g' or '') .. (verdict.begins and 'b' or '')

local effect, brief = effect_line('D', account, amount, hold, flags, extras), in_brief('D', account, amount, hold, flags, extras)
local failed = journal(journal_key, epoch, effect, method, request, pricing)
if failed then return failed end
write_day(account)
if returned then
  if not parts and hold.amount ~= '0' then
    redis.call('HINCRBY', account_key, 'gl', hold.amount)
    redis.call('HINCRBY', account_key, 'gh', negated(hold.amount))
  end
  if returns_today then redis.call('HINCRBY', account_key, 'room', hold.amount) end
  redis.call('ZREM', expiries_key, member)
end
if hold.id then redis.call('DEL', hold_key) end
local minus = negated(amount)
redis.call('HINCRBY', account_key, 'used', amount)
if counts_today then
  redis.call('HINCRBY', account_key, 'room', minus)
else
  unpack_tail(account)
  account.dbase = exact_sum(account_key, account.dbase, amount)
  if tonumber(hold.day) < tonumber(account.day) - 1 then account.ybase = exact_sum(account_key, account.ybase, amount) end
  pack_tail(account)
  write_settings(account)
end
if freed then
  move_budgets(budgets_key, freed, 'room_field', hold.amount)
  move_budgets(budgets_key, freed, 'held_field', negated(hold.amount))
end
if matched then move_budgets(budgets_key, matched, 'room_field', minus) end
if parts then
  funds:add(back)
  funds:unpin(back)
  funds:take(parts)
else
  redis.call('HINCRBY', account_key, 'gl', minus)
end
if verdict.begins then begin_grace(account, class) end
cross_levels(journal_key, account, amount, counts_today)
if matched then cross_budgets(journal_key, account, matched, amount) end
if parts then
  funds:expire(lapsed)
  funds:settle()
end
remember(replay_key, fingerprint, brief, replay_ttl_ms)
return {'ok', effect}
