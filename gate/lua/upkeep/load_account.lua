-- load_account: puts an account back that is missing here, as the ledger knows it, with its grants,
-- budgets and open holds. The caller has made sure that the ledger holds everything journaled up to
-- a moment at which the account was missing.
--
-- KEYS[1] account
-- KEYS[2] journal
-- KEYS[3] grants: those beside the account
-- KEYS[4] budgets: the account's
-- KEYS[5] holds_by_expiry
-- KEYS[6] accounts_by_due
-- and the key of each hold
--
-- ARGV[1] epoch
-- ARGV[2] settings: the account's field `s`, with overage as the current grant and no due time
-- ARGV[3] left_of_current: nanos, as the sums that follow
-- ARGV[4] held_of_current
-- ARGV[5] left_of_others
-- ARGV[6] held_of_others
-- ARGV[7] used
-- ARGV[8] day_remaining
-- ARGV[9] thresholds: or empty
-- ARGV[10] graces: or empty
-- ARGV[11] due_member: the account's member in accounts_by_due
-- ARGV[12] grant_count
-- for each grant: number, left_nanos, held_nanos, meta
-- then how many budgets, and for each: budget_id, hard (1 or 0), window, limit_nanos, start_hour,
--   number, thresholds, labels (a scope, as lib/budgets has it), remaining_nanos, held_nanos,
--   counters ("value,used and held nanos,held nanos;...", or -)
-- then for each hold: hold_id, amount_nanos, day, expires_ms, pins, budgets, hold_member
--
-- Returns {'ok'} | {'present'} (somebody else was first; nothing written)
--   | {'stale'} (another epoch has begun).

local COUNTER = layout('value,taken,held')

local function load_grant(grants_key, next_arguments)
  local number, left, held, meta = next_arguments(4)
  redis.call('HSET', grants_key, meta_field(number), meta)
  if left ~= '0' then redis.call('HSET', grants_key, number, left) end
  if held ~= '0' then redis.call('HSET', grants_key, held_field(number), held) end
end

local function load_counters(account, budget_id, counters)
  if counters == ABSENT then return end
  local key = counters_key(account, budget_id)
  for _, counter in ipairs(decode_list(COUNTER, ';', counters)) do
    redis.call(
      'HSET', key, 'r' .. counter.value, negated(counter.taken), 'h' .. counter.value, counter.held)
  end
end

local function load_budget(account, next_arguments)
  local id, hard, window, limit, start_hour, number, thresholds = next_arguments(7)
  local labels, remaining, held, counters = next_arguments(4)
  local _, end_hour = window_of(window, tonumber(start_hour))
  put_budget(account, {
    id = id,
    hardness = hard == '1' and HARD or SOFT,
    window = window,
    limit = limit,
    start_hour = start_hour,
    end_hour = end_hour,
    number = number,
    thresholds = thresholds,
    scope = labels,
    remaining = remaining,
    held = held,
  })
  load_counters(account, id, counters)
end

local function load_hold(account, hold_key, holds_by_expiry_key, next_arguments)
  local id, amount, day, expires_ms, pins, budgets, hold_member = next_arguments(7)
  local hold = {
    id = id,
    is_open = true,
    amount = amount,
    day = day,
    expires_ms = expires_ms,
    pins = pins,
    budgets = budgets,
  }
  write_hold(account, hold_key, holds_by_expiry_key, hold_member, hold)
end

local function load_account(keys, arguments)
  local account_key, journal_key, grants_key, budgets_key, holds_by_expiry_key,
    accounts_by_due_key = unpack(keys)
  local epoch, settings, left_of_current, held_of_current, left_of_others, held_of_others, used,
    day_remaining, thresholds, graces, due_member, grant_count = unpack(arguments, 1, 12)

  if stored_account(account_key, epoch) then return {'present'} end
  if journal_end(journal_key) ~= epoch then return {'stale'} end
  redis.call('DEL', account_key, grants_key)
  remove_budgets(budgets_key)
  redis.call(
    'HSET', account_key, FIELD.settings, settings, FIELD.left_of_current, left_of_current,
    FIELD.held_of_current, held_of_current, FIELD.left_of_others, left_of_others,
    FIELD.held_of_others, held_of_others, FIELD.used, used, FIELD.day_remaining, day_remaining)
  write_lists(account_key, thresholds, graces)

  local next_arguments = reader(arguments, 12)
  for _ = 1, tonumber(grant_count) do load_grant(grants_key, next_arguments) end
  local account = stored_account(account_key, epoch, journal_key, grants_key, budgets_key)
  account.now_ms = 0 -- no window ends by being loaded
  for _ = 1, tonumber(next_arguments(1)) do load_budget(account, next_arguments) end
  note_scopes(account)
  write_settings(account)
  read_grants(account):settle()
  note_due(accounts_by_due_key, account, due_member)
  for i = 7, #keys do load_hold(account, keys[i], holds_by_expiry_key, next_arguments) end
  return {'ok'}
end

register('load_account', load_account, {'allow-oom'})
