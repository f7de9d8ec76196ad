#!lua flags=allow-oom
-- expire: gives back a hold whose time is over. Called by the reaper for each hold that looks due; the account's clock decides.
--
-- KEYS[1] account   KEYS[2] journal   KEYS[3] grants beside the account   KEYS[4] its budgets   KEYS[5] the hold   KEYS[6] holds by expiry
-- ARGV[1] epoch     ARGV[2] hold id   ARGV[3] its member in the holds by expiry
-- ARGV[4] how long a late debit still finds the hold, ms
-- ARGV[5] method   ARGV[6] account and hold, as a JournaledRequest
--
-- Returns {'ok', effect} | {'kept'} (not due) | {'gone'} (ended already) | {'absent'} | {'due'} | {'stale'}.
-- Writes the journal, the account, its grants and budgets, and the hold's record as expired; nothing unless it returns 'ok' or 'gone'.
-- @include account
-- @include journal
-- @include hold
-- @include thresholds
-- @include grants
-- @include grant_changes
-- @include budgets
-- @include return_hold
local account_key, journal_key, grants_key, budgets_key, hold_key, expiries_key = unpack(KEYS)
local epoch, hold_id, member, late_ttl_ms, method, request = unpack(ARGV)

-- The account comes first: to a gate that has not heard of a newer epoch, its holds would look gone.
local account = read_account(account_key, epoch)
if not account then return {'absent'} end
local hold = read_hold(hold_key, hold_id, epoch)
if not hold or hold.state == 'x' then
  redis.call('ZREM', expiries_key, member)
  return {'gone'}
end
if not is_expired(hold, account) then return {'kept'} end
if is_due(account) then return {'due'} end

local effect, reply = return_hold('X', account, hold, grants_key, budgets_key, journal_key, method, request)
if not effect then return reply end
redis.call('ZREM', expiries_key, member)
redis.call('SET', hold_key, hold_record(epoch, 'x', hold), 'PX', late_ttl_ms)
return {'ok', effect}
