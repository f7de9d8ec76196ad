#!lua flags=allow-oom
-- release: gives a hold back, whole. Runs even when Redis is out of memory.
--
-- KEYS[1] account   KEYS[2] replay record   KEYS[3] journal   KEYS[4] grants beside the account   KEYS[5] its budgets
-- KEYS[6] the hold   KEYS[7] holds by expiry
-- ARGV[1] epoch     ARGV[2] fingerprint of the request's content   ARGV[3] how long to remember the reply, ms
-- ARGV[4] hold id   ARGV[5] its member in the holds by expiry
-- ARGV[6] method    ARGV[7] request, as received
--
-- Returns {'ok', effect} | {'replayed', brief} | {'refused', reason} | {'absent'} | {'due'} | {'stale'}.
-- Precedence: REQUEST_ID_REUSED, absent, due, HOLD_NOT_FOUND, HOLD_EXPIRED, stale.
-- Writes the journal, the account, its grants and budgets, the replay record, and removes the hold; nothing unless it returns 'ok'.
-- @include account
-- @include journal
-- @include replay
-- @include hold
-- @include thresholds
-- @include grants
-- @include grant_changes
-- @include budgets
-- @include return_hold
local account_key, replay_key, journal_key, grants_key, budgets_key, hold_key, expiries_key = unpack(KEYS)
local epoch, fingerprint, replay_ttl_ms, hold_id, member, method, request = unpack(ARGV)

local seen = replay(replay_key, fingerprint)
if seen then return seen end
local account = read_account(account_key, epoch)
if not account then return {'absent'} end
if is_due(account) then return {'due'} end
local hold = read_hold(hold_key, hold_id, epoch)
if not hold then return {'refused', 'HOLD_NOT_FOUND'} end
if is_expired(hold, account) then return {'refused', 'HOLD_EXPIRED'} end

local effect, brief_or_reply = return_hold('R', account, hold, grants_key, budgets_key, journal_key, method, request)
if not effect then return brief_or_reply end
redis.call('ZREM', expiries_key, member)
redis.call('DEL', hold_key)
remember(replay_key, fingerprint, brief_or_reply, replay_ttl_ms)
return {'ok', effect}
