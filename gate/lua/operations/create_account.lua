-- create_account: the account's first operation.
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
-- ARGV[6] currency
-- ARGV[7] overage_protection_nanos
-- ARGV[8] daily_limit_nanos: or -
-- ARGV[9] test_clock_ms: or -
-- ARGV[10] flags: or -
-- ARGV[11] thresholds: or empty
-- ARGV[12] graces: or empty
--
-- Returns {'ok', effect} | {'replayed'} | {'stale'}. The effect's sums are the account as created.
-- Writes the journal, the account and the replay record; nothing at all unless it returns 'ok'.

-- Makes the account in memory, with nothing granted and nothing used.
local function new_account(
  account_key, journal_key, epoch, operation_number, currency, overage_protection_nanos,
  daily_limit_nanos, test_clock_ms, flags)
  local at_ms = clock_ms(test_clock_ms)
  local account = {
    key = account_key,
    journal_key = journal_key,
    at_ms = at_ms,
    epoch = epoch,
    status = 'active',
    test_clock_ms = test_clock_ms,
    day = integer_text(day_of(at_ms)),
    due_ms = ABSENT,
    flags = flags,
    has = decode_flags(flags),
    current_grant = OVERAGE,
    operation_number = operation_number,
    currency = currency,
    total = '0',
    daily_limit = daily_limit_nanos,
    overage = overage_protection_nanos,
    expired = '0',
    day_base = '0',
    month_base = '0',
    yesterday_base = '0',
    left_of_current = overage_protection_nanos,
    held_of_current = '0',
    left_of_others = '0',
    held_of_others = '0',
    used = '0',
    day_remaining = or_zero(daily_limit_nanos),
  }
  pack_settings(account)
  return account
end

local function create_account(keys, arguments)
  local account_key, replay_key, journal_key, grants_key, budgets_key = unpack(keys)
  local epoch, operation_number, method, operation, replay_ttl_ms, currency,
    overage_protection_nanos, daily_limit_nanos, test_clock_ms, flags, thresholds, graces =
    unpack(arguments)

  if stored_account(account_key, epoch) then return {'replayed'} end
  local account = new_account(
    account_key, journal_key, epoch, operation_number, currency, overage_protection_nanos,
    daily_limit_nanos, test_clock_ms, flags)
  local effect, failure = tell_settings(account, 'create', method, operation)
  if not effect then return failure end
  redis.call('DEL', account_key, grants_key, budgets_key)
  write_sums(account)
  write_lists(account_key, thresholds, graces)
  write_settings(account)
  remember_operation(replay_key, replay_ttl_ms)
  return {'ok', effect}
end

register('create_account', create_account)
