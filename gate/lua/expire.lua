#!lua flags=allow-oom
-- expire: gives back a hold whose time is over. Called by the reaper for each hold that looks due; the account's clock decides.
--
-- KEYS[1] account   KEYS[2] journal   KEYS[3] the hold   KEYS[4] holds by expiry
-- ARGV[1] epoch     ARGV[2] hold id   ARGV[3] its member in the holds by expiry
-- ARGV[4] how long a late debit still finds the hold, ms
-- ARGV[5] method   ARGV[6] account and hold, as a JournaledRequest
--
-- Returns {'ok', effect} | {'kept'} (not due) | {'gone'} (ended already) | {'absent'} | {'stale'}.
-- Writes the journal, the account, and the hold's record as expired; nothing at all unless it returns 'ok' or 'gone'.
-- @include account
-- @include journal
-- @include hold
local account_key, journal_key, hold_key, expiries_key = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local epoch, hold_id, member, late_ttl_ms, method, request = ARGV[1], ARGV[2], ARGV[3], ARGV[4], ARGV[5], ARGV[6]

-- The account comes first: to a gate that has not heard of a newer epoch, its holds would look gone.
local account = read_account(account_key, epoch)
if not account then return {'absent'} end
local hold = read_hold(hold_key, hold_id, epoch)
if not hold or hold.state == 'x' then
  redis.call('ZREM', expiries_key, member)
  return {'gone'}
end
if not is_expired(hold, account) then return {'kept'} end

local effect = effect_line('X', account, hold.amount, hold, '-')
local failed = journal(journal_key, epoch, effect, method, request, '')
if failed then return failed end
write_day(account_key, account)
return_hold(account_key, account, hold)
redis.call('ZREM', expiries_key, member)
redis.call('SET', hold_key, hold_record(epoch, 'x', hold), 'PX', late_ttl_ms)
return {'ok', effect}
