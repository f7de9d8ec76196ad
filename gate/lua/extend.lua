#!lua
-- extend: adds to a hold's amount, to its time, or to both. It goes on counting on the day it was authorized.
--
-- KEYS[1] account   KEYS[2] replay record   KEYS[3] journal   KEYS[4] the hold   KEYS[5] holds by expiry
-- ARGV[1] epoch             ARGV[2] fingerprint of the request's content   ARGV[3] how long to remember the reply, ms
-- ARGV[4] amount to add, nanos              ARGV[5] currency of the price, or - for a plain amount
-- ARGV[6] time to live from now, ms, if later than the present expiry (0: leave it)
-- ARGV[7] hold id           ARGV[8] its member in the holds by expiry
-- ARGV[9] method            ARGV[10] request, as received                  ARGV[11] pricing, or empty
--
-- Returns {'ok', effect} | {'replayed', effect} | {'denied', reason, look} | {'refused', reason} | {'absent'} | {'stale'}.
-- Precedence: REQUEST_ID_REUSED, absent, HOLD_NOT_FOUND, HOLD_EXPIRED, CURRENCY_MISMATCH, ACCOUNT_SUSPENDED,
--   INSUFFICIENT_CREDITS, DAILY_LIMIT_EXCEEDED, stale.
-- Writes the journal, the hold, the account and the replay record; nothing at all unless it returns 'ok'.
-- @include account
-- @include journal
-- @include replay
-- @include hold
local account_key, replay_key, journal_key, hold_key, expiries_key = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5]
local epoch, fingerprint, replay_ttl_ms, amount, currency = ARGV[1], ARGV[2], ARGV[3], ARGV[4], ARGV[5]
local ttl_ms, hold_id, member = tonumber(ARGV[6]), ARGV[7], ARGV[8]
local method, request, pricing = ARGV[9], ARGV[10], ARGV[11]

local seen = replay(replay_key, fingerprint)
if seen then return seen end
local account = read_account(account_key, epoch)
if not account then return {'absent'} end
local hold = read_hold(hold_key, hold_id, epoch)
if not hold then return {'refused', 'HOLD_NOT_FOUND'} end
if is_expired(hold, account) then return {'refused', 'HOLD_EXPIRED'} end
if currency ~= '-' and currency ~= account.cur then return {'refused', 'CURRENCY_MISMATCH'} end

local function denied(reason)
  return {'denied', reason, effect_line('B', account, '0', {}, '-')}
end
if account.st ~= 'active' then return denied('ACCOUNT_SUSPENDED') end
if amount ~= '0' then
  if less(account.sp, amount) then return denied('INSUFFICIENT_CREDITS') end
  if account.lim ~= '-' and less(account.room, amount) then return denied('DAILY_LIMIT_EXCEEDED') end
end

if ttl_ms > 0 and account.now + ttl_ms > tonumber(hold.expires) then
  hold.expires = string.format('%.0f', account.now + ttl_ms)
end
local effect = effect_line('E', account, amount, hold, '-')
local failed = journal(journal_key, epoch, effect, method, request, pricing)
if failed then return failed end
write_day(account_key, account)
if amount ~= '0' then
  redis.call('HINCRBY', account_key, 'sp', negated(amount))
  redis.call('HINCRBY', account_key, 'held', amount)
  if hold.day == account.day then redis.call('HINCRBY', account_key, 'room', negated(amount)) end
  hold.amount = exact_sum(account_key, hold.amount, amount)
end
redis.call('SET', hold_key, hold_record(epoch, 'o', hold))
redis.call('ZADD', expiries_key, reap_at(hold, account), member)
remember(replay_key, fingerprint, effect, replay_ttl_ms)
return {'ok', effect}
