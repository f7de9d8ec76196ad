#!lua
-- authorize: checks everything and places a hold.
--
-- KEYS[1] account   KEYS[2] replay record   KEYS[3] journal   KEYS[4] the new hold   KEYS[5] holds by expiry
-- ARGV[1] epoch             ARGV[2] fingerprint of the request's content   ARGV[3] how long to remember the reply, ms
-- ARGV[4] amount, nanos     ARGV[5] least amount, nanos (0: all or nothing)
-- ARGV[6] currency of the price, or - for a plain amount
-- ARGV[7] hold id           ARGV[8] hold's time to live, ms                ARGV[9] its member in the holds by expiry
-- ARGV[10] method           ARGV[11] request, as received                  ARGV[12] pricing, or empty
--
-- Returns {'ok', effect} | {'replayed', effect} | {'denied', reason, look} | {'refused', reason} | {'absent'} | {'stale'}.
-- Precedence: REQUEST_ID_REUSED, absent, CURRENCY_MISMATCH, ACCOUNT_SUSPENDED, INSUFFICIENT_CREDITS, DAILY_LIMIT_EXCEEDED, stale.
-- Writes the journal, the hold, the account and the replay record; nothing at all unless it returns 'ok'.
-- @include account
-- @include journal
-- @include replay
-- @include hold
local account_key, replay_key, journal_key, hold_key, expiries_key = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5]
local epoch, fingerprint, replay_ttl_ms, amount, least, currency = ARGV[1], ARGV[2], ARGV[3], ARGV[4], ARGV[5], ARGV[6]
local hold_id, ttl_ms, member, method, request, pricing = ARGV[7], ARGV[8], ARGV[9], ARGV[10], ARGV[11], ARGV[12]

local seen = replay(replay_key, fingerprint)
if seen then return seen end
local account = read_account(account_key, epoch)
if not account then return {'absent'} end
if currency ~= '-' and currency ~= account.cur then return {'refused', 'CURRENCY_MISMATCH'} end

local function denied(reason)
  return {'denied', reason, effect_line('B', account, '0', {}, '-')}
end
local need = (least == '0' or less(amount, least)) and amount or least
if account.st ~= 'active' then return denied('ACCOUNT_SUSPENDED') end
if less(account.sp, need) then return denied('INSUFFICIENT_CREDITS') end
if account.lim ~= '-' and less(account.room, need) then return denied('DAILY_LIMIT_EXCEEDED') end

local held = amount
if less(account.sp, held) then held = account.sp end
if account.lim ~= '-' and less(account.room, held) then held = account.room end
local hold = {id = hold_id, amount = held, day = account.day, expires = string.format('%.0f', account.now + ttl_ms)}

local effect = effect_line('A', account, held, hold, '-')
local failed = journal(journal_key, epoch, effect, method, request, pricing)
if failed then return failed end
write_day(account_key, account)
redis.call('HINCRBY', account_key, 'sp', negated(held))
redis.call('HINCRBY', account_key, 'held', held)
redis.call('HINCRBY', account_key, 'room', negated(held))
redis.call('SET', hold_key, hold_record(epoch, 'o', hold))
redis.call('ZADD', expiries_key, reap_at(hold, account), member)
remember(replay_key, fingerprint, effect, replay_ttl_ms)
return {'ok', effect}
