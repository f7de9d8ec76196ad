-- delete_budget: removes a budget. Holds that counted in it count on without it.
--
-- KEYS[1] account
-- KEYS[2] replay: the request's replay record
-- KEYS[3] journal
-- KEYS[4] grants: those beside the account
-- KEYS[5] budgets: the account's
--
-- ARGV[1] epoch
-- ARGV[2] operation_number
-- ARGV[3] method
-- ARGV[4] operation: as recorded
-- ARGV[5] replay_ttl_ms: how long to remember the request id
-- ARGV[6] budget_id
-- ARGV[7] labels: of the budget
--
-- Returns {'ok', effect} | {'replayed'} | {'behind', number of the last operation} | {'absent'}
--   | {'due'} (process_due_grants comes first) | {'stale'}.
-- Writes the journal, the account's settings, its budgets and the replay record; nothing at all
-- unless it returns 'ok'.

local function delete_budget(keys, arguments)
  local account_key, replay_key, journal_key, grants_key, budgets_key = unpack(keys)
  local epoch, operation_number, method, operation, replay_ttl_ms, budget_id, labels =
    unpack(arguments)

  local account, reply = begin_operation(
    account_key, journal_key, grants_key, budgets_key, epoch, operation_number)
  if not account then return reply end
  local effect, failure = tell_settings(account, 'update', method, operation)
  if not effect then return failure end
  remove_budget(account, budget_id, labels)
  note_scopes(account)
  write_changed_settings(account)
  remember_operation(replay_key, replay_ttl_ms)
  return {'ok', effect}
end

register('delete_budget', delete_budget, {'allow-oom'})
