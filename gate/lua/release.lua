-- release: gives a hold back, whole. Runs even when Redis is out of memory.
--
-- KEYS[1] account
-- KEYS[2] replay: the request's replay record
-- KEYS[3] journal
-- KEYS[4] grants: those beside the account
-- KEYS[5] budgets: the account's
-- KEYS[6] hold
-- KEYS[7] holds_by_expiry
--
-- ARGV[1] epoch
-- ARGV[2] fingerprint: of the request's content
-- ARGV[3] replay_ttl_ms: how long to remember the reply
-- ARGV[4] hold_id
-- ARGV[5] hold_member: the hold's member in holds_by_expiry
-- ARGV[6] method
-- ARGV[7] request: as received
--
-- Returns {'ok', effect, its entry's id} | {'replayed', record} | {'refused', reason} | {'absent'}
--   | {'due'} (process_due_grants comes first) | {'stale'}.
-- Precedence: REQUEST_ID_REUSED, absent, due, HOLD_NOT_FOUND, HOLD_EXPIRED, stale.
-- Writes the journal, the account, its grants and budgets, the replay record, and removes the hold;
-- nothing unless it returns 'ok'.

local function release(keys, arguments)
  local account_key, replay_key, journal_key, grants_key, budgets_key, hold_key,
    holds_by_expiry_key = unpack(keys)
  local epoch, fingerprint, replay_ttl_ms, hold_id, hold_member, method, request =
    unpack(arguments)

  local account, reply = begin_call(
    account_key, replay_key, journal_key, grants_key, budgets_key, epoch, fingerprint)
  if not account then return reply end
  local hold = read_hold(hold_key, hold_id, epoch)
  if not hold then return {'refused', 'HOLD_NOT_FOUND'} end
  if is_expired(hold, account) then return {'refused', 'HOLD_EXPIRED'} end

  local effect, record_or_reply =
    return_hold(account, fingerprint, 'release', hold, method, request)
  if not effect then return record_or_reply end
  redis.call('ZREM', holds_by_expiry_key, hold_member)
  redis.call('DEL', hold_key)
  remember_call(replay_key, record_or_reply, replay_ttl_ms)
  return {'ok', effect, account.entry_id}
end

register('release', release, {'allow-oom'})
