-- expire: gives back a hold whose time is over. The reaper calls it for each hold that looks due;
-- the account's clock decides.
--
-- KEYS[1] account
-- KEYS[2] journal
-- KEYS[3] grants: those beside the account
-- KEYS[4] budgets: the account's
-- KEYS[5] hold
-- KEYS[6] holds_by_expiry
--
-- ARGV[1] epoch
-- ARGV[2] hold_id
-- ARGV[3] hold_member: the hold's member in holds_by_expiry
-- ARGV[4] late_ttl_ms: how long a late debit still finds the hold
-- ARGV[5] method
-- ARGV[6] request: account and hold, as a JournaledRequest
--
-- Returns {'ok', effect} | {'kept'} (not expired) | {'gone'} (ended already) | {'missing'} (the
--   hold has no record, though it is to expire: Redis was damaged) | {'absent'}
--   | {'due'} (process_due_grants comes first) | {'stale'}.
-- Writes the journal, the account, its grants and budgets, and the hold's record as expired;
-- nothing unless it returns 'ok' or 'gone'.

-- Whatever ends a hold takes the hold off the list in the same step.
local function lacks_record(hold_key, holds_by_expiry_key, hold_member)
  return redis.call('EXISTS', hold_key) == 0
    and redis.call('ZSCORE', holds_by_expiry_key, hold_member)
end

local function expire(keys, arguments)
  local account_key, journal_key, grants_key, budgets_key, hold_key, holds_by_expiry_key =
    unpack(keys)
  local epoch, hold_id, hold_member, late_ttl_ms, method, request = unpack(arguments)

  -- The account comes first: to a gate that has not heard of a newer epoch, its holds would look
  -- gone.
  local account = read_account(account_key, epoch, journal_key, grants_key, budgets_key)
  if not account then return {'absent'} end
  local hold = read_hold(hold_key, hold_id, epoch)
  if not hold and lacks_record(hold_key, holds_by_expiry_key, hold_member) then
    return {'missing'}
  end
  if not hold or not hold.is_open then
    redis.call('ZREM', holds_by_expiry_key, hold_member)
    return {'gone'}
  end
  if not is_expired(hold, account) then return {'kept'} end
  if is_due(account) then return {'due'} end

  local effect, record_or_reply = return_hold(account, '', 'expire', hold, method, request)
  if not effect then return record_or_reply end
  hold.is_open = false
  redis.call('ZREM', holds_by_expiry_key, hold_member)
  redis.call('SET', hold_key, encode_hold(epoch, hold), 'PX', late_ttl_ms)
  return {'ok', effect}
end

register('expire', expire, {'allow-oom'})
