#!lua flags=allow-oom
-- release: gives a hold back, whole. Runs even when Redis is out of memory.
--
-- KEYS[1] account   KEYS[2] replay record   KEYS[3] journal   KEYS[4] the hold   KEYS[5] holds by expiry
-- ARGV[1] epoch     ARGV[2] fingerprint of the request's content   ARGV[3] how long to remember the reply, ms
-- ARGV[4] hold id   ARGV[5] its member in the holds by expiry
-- ARGV[6] method    ARGV[7] request, as received
--
-- Returns {'ok', effect} | {'replayed', effect} | {'refused', reason} | {'absent'} | {'stale'}.
-- Precedence: REQUEST_ID_REUSED, absent, HOLD_NOT_FOUND, HOLD_EXPIRED, stale.
-- Writes the journal, the account, the replay record, and removes the hold; nothing at all unless it returns 'ok'.
-- @include account
-- @include journal
-- @include replay
-- @include hold
local account_key, replay_key, journal_key, hold_key, expiries_key = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5]
local epoch, fingerprint, replay_ttl_ms, hold_id, member = ARGV[1], ARGV[2], ARGV[3], ARGV[4], ARGV[5]
local method, request = ARGV[6], ARGV[7]

local seen = replay(replay_key, fingerprint)
if seen then return seen end
local account = read_account(account_key, epoch)
if not account then return {'absent'} end
local hold = read_hold(hold_key, hold_id, epoch)
if not hold then return {'refused', 'HOLD_NOT_FOUND'} end
if is_expired(hold, account) then return {'refused', 'HOLD_EXPIRED'} end

local effect = effect_line('R', account, hold.amount, hold, '-')
local failed = journal(journal_key, epoch, effect, method, request, '')
if failed then return failed end
write_day(account_key, account)
return_hold(account_key, account, hold)
redis.call('ZREM', expiries_key, member)
redis.call('DEL', hold_key)
remember(replay_key, fingerprint, effect, replay_ttl_ms)
return {'ok', effect}
