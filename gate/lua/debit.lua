#!lua flags=allow-oom
-- debit: charges what was used. With a hold it settles that; without, it checks and spends.
-- Runs even when Redis is out of memory: what it charges has, as a rule, already been used.
--
-- KEYS[1] account   KEYS[2] replay record   KEYS[3] journal   and only with a hold:   KEYS[4] the hold   KEYS[5] holds by expiry
-- ARGV[1] epoch             ARGV[2] fingerprint of the request's content   ARGV[3] how long to remember the reply, ms
-- ARGV[4] amount, nanos     ARGV[5] currency of the price, or - for a plain amount
-- ARGV[6] 1 if incurred (never denied), else 0
-- ARGV[7] least that spendable, and a limited day's room, must be, and ARGV[8] most that used may be (and room at least its
--   negative), before the amount is taken, for the sums to stay within int64 whatever settings may follow
-- ARGV[9] hold id, or -     ARGV[10] the hold's member in the holds by expiry, or -
-- ARGV[11] method           ARGV[12] request, as received                  ARGV[13] pricing, or empty
--
-- Returns {'ok', effect} | {'replayed', effect} | {'denied', reason, look} | {'refused', reason} | {'absent'} | {'stale'}.
-- Precedence: REQUEST_ID_REUSED, absent, HOLD_NOT_FOUND, CURRENCY_MISMATCH, AMOUNT_OUT_OF_RANGE (what cannot be denied),
--   ACCOUNT_SUSPENDED, INSUFFICIENT_CREDITS, DAILY_LIMIT_EXCEEDED (what can), stale.
-- A hold that has expired is charged as incurred, and the effect says so (flag l).
-- Writes the journal, the account, the replay record, and removes the hold; nothing at all unless it returns 'ok'.
-- @include account
-- @include journal
-- @include replay
-- @include hold
local account_key, replay_key, journal_key, hold_key, expiries_key = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5]
local epoch, fingerprint, replay_ttl_ms, amount, currency = ARGV[1], ARGV[2], ARGV[3], ARGV[4], ARGV[5]
local incurred, lowest, most_used, hold_id, member = ARGV[6] == '1', ARGV[7], ARGV[8], ARGV[9], ARGV[10]
local method, request, pricing = ARGV[11], ARGV[12], ARGV[13]

local seen = replay(replay_key, fingerprint)
if seen then return seen end
local account = read_account(account_key, epoch)
if not account then return {'absent'} end

local hold, late = {}, false
if hold_key then
  hold = read_hold(hold_key, hold_id, epoch)
  if not hold then return {'refused', 'HOLD_NOT_FOUND'} end
  late = is_expired(hold, account)
end
if currency ~= '-' and currency ~= account.cur then return {'refused', 'CURRENCY_MISMATCH'} end

local function denied(reason)
  return {'denied', reason, effect_line('B', account, '0', {}, '-')}
end
local returned = hold.state == 'o'
if hold.state == 'x' then hold.amount = '0' end -- its credits went back when it expired
local returns_today, counts_today = hold.day == account.day, not hold.id or late or hold.day == account.day
local function leaves_int64()
  if less(most_used, account.used) then return true end
  local same_day = returns_today or not counts_today
  if returned and same_day and not less(hold.amount, amount) then return false end -- it takes no more than the hold gives back
  local sp, room = account.sp, account.room
  if returned then
    sp = exact_sum(account_key, sp, hold.amount)
    if returns_today then room = exact_sum(account_key, room, hold.amount) end
  end
  return less(sp, lowest) or counts_today and less(room, account.lim == '-' and negated(most_used) or lowest)
end
if incurred or hold.id then
  if leaves_int64() then return {'refused', 'AMOUNT_OUT_OF_RANGE'} end
else
  if account.st ~= 'active' then return denied('ACCOUNT_SUSPENDED') end
  if less(account.sp, amount) then return denied('INSUFFICIENT_CREDITS') end
  if account.lim ~= '-' and less(account.room, amount) then return denied('DAILY_LIMIT_EXCEEDED') end
end

local flags = (late and 'l' or '') .. (incurred and 'i' or '')
if flags == '' then flags = '-' end
local effect = effect_line('D', account, amount, hold, flags)
local failed = journal(journal_key, epoch, effect, method, request, pricing)
if failed then return failed end
write_day(account_key, account)
if returned then
  return_hold(account_key, account, hold)
  redis.call('ZREM', expiries_key, member)
end
if hold.id then redis.call('DEL', hold_key) end
redis.call('HINCRBY', account_key, 'sp', negated(amount))
redis.call('HINCRBY', account_key, 'used', amount)
if counts_today then
  redis.call('HINCRBY', account_key, 'room', negated(amount))
else
  redis.call('HINCRBY', account_key, 'dbase', amount)
end
remember(replay_key, fingerprint, effect, replay_ttl_ms)
return {'ok', effect}
