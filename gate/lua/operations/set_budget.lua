-- set_budget: sets a budget, new or changed. A new limit moves what remains by the difference; made
-- anew, the budget begins with all of it, and a budget for each value without a value.
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
-- ARGV[7] hard: 1 or 0
-- ARGV[8] window: hour, day, week, month or lifetime
-- ARGV[9] limit_nanos
-- ARGV[10] thresholds: "id:nanos|...", or -
-- ARGV[11] labels: a scope, as lib/budgets has it
-- ARGV[12] anew: 1 or 0
-- ARGV[13] replaced_labels: those of the budget before, if others; or empty
--
-- Returns {'ok', effect} | {'replayed'} | {'behind', number of the last operation} | {'absent'}
--   | {'due'} (process_due_grants comes first) | {'stale'}.
-- Writes the journal, the account's settings, its budgets and the replay record; nothing at all
-- unless it returns 'ok' (a field lent for adding up aside).

-- Keeps what an existing budget counts: the new limit moves what remains.
local function keep_count(account, budget, former)
  budget.number = former.number
  budget.held = former.held
  budget.remaining = exact_sum(
    account.key, former.remaining, negated(former.limit), budget.limit)
end

local function set_budget(keys, arguments)
  local account_key, replay_key, journal_key, grants_key, budgets_key = unpack(keys)
  local epoch, operation_number, method, operation, replay_ttl_ms, budget_id, hard, window,
    limit_nanos, thresholds, labels, anew, replaced_labels = unpack(arguments)

  local account, reply = begin_operation(
    account_key, journal_key, grants_key, budgets_key, epoch, operation_number)
  if not account then return reply end
  local former = find_budget(account, budget_id)
  local start_hour, end_hour = window_of(window, hour_of(account))
  local budget = {
    id = budget_id,
    hardness = hard == '1' and HARD or SOFT,
    window = window,
    limit = limit_nanos,
    thresholds = thresholds,
    scope = labels,
    number = operation_number,
    start_hour = start_hour,
    end_hour = end_hour,
    remaining = limit_nanos,
    held = '0',
  }
  local is_kept = former and anew == '0'
  if is_kept then keep_count(account, budget, former) end
  local effect, failure = tell_settings(account, 'update', method, operation)
  if not effect then return failure end
  if former and replaced_labels ~= '' then remove_budget(account, budget_id, replaced_labels) end
  if not is_kept then forget_counters(account, budget_id) end
  put_budget(account, budget)
  note_scopes(account)
  write_changed_settings(account)
  remember_operation(replay_key, replay_ttl_ms)
  return {'ok', effect}
end

register('set_budget', set_budget, {'allow-oom'})
