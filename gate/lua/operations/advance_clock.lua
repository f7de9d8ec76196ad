-- advance_clock: moves an account's test clock forward. Holds and grants that are due by then are
-- the caller's to bring up to date.
--
-- KEYS[1] account
-- KEYS[2] replay: the request's replay record
-- KEYS[3] journal
--
-- ARGV[1] epoch
-- ARGV[2] operation_number
-- ARGV[3] method
-- ARGV[4] operation: as recorded
-- ARGV[5] replay_ttl_ms: how long to remember the request id
-- ARGV[6] time_ms: the new time
--
-- Returns {'ok', effect} | {'replayed'} | {'behind', number of the last operation} | {'absent'}
--   | {'due'} (process_due_grants comes first) | {'stale'}.
-- The effect's sums are those of the new day.
-- Writes the journal, the account and the replay record; nothing at all unless it returns 'ok'.

local function advance_clock(keys, arguments)
  local account_key, replay_key, journal_key = unpack(keys)
  local epoch, operation_number, method, operation, replay_ttl_ms, time_ms = unpack(arguments)

  local account, reply = begin_operation(
    account_key, journal_key, nil, nil, epoch, operation_number)
  if not account then return reply end
  account.test_clock_ms = time_ms
  account.at_ms = time_ms
  account.now_ms = tonumber(time_ms)
  local today = day_of(time_ms)
  if today > tonumber(account.day) then roll_day(account, today) end
  local effect, failure = tell_settings(account, 'advance_clock', method, operation)
  if not effect then return failure end
  write_changed_settings(account)
  remember_operation(replay_key, replay_ttl_ms)
  return {'ok', effect}
end

register('advance_clock', advance_clock, {'allow-oom'})
