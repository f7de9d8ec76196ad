-- update_account: changes settings. A new overage protection or daily limit moves what may be spent
-- by the difference from the old one.
--
-- KEYS[1] account
-- KEYS[2] replay: the request's replay record
-- KEYS[3] journal
-- KEYS[4] grants: those beside the account
--
-- ARGV[1] epoch
-- ARGV[2] operation_number
-- ARGV[3] method
-- ARGV[4] operation: as recorded
-- ARGV[5] replay_ttl_ms: how long to remember the request id
-- ARGV[6] status: this and all that follows as it is to be
-- ARGV[7] overage_protection_nanos
-- ARGV[8] daily_limit_nanos: or -
-- ARGV[9] flags: those that follow from the settings
-- ARGV[10] thresholds: or empty
-- ARGV[11] graces: none begun; or empty
--
-- Returns {'ok', effect} | {'replayed'} | {'behind', number of the last operation} | {'absent'}
--   | {'due'} (process_due_grants comes first) | {'stale'}.
-- The effect's sums are the account as changed.
-- Writes the journal, the account and the replay record; nothing at all unless it returns 'ok' (a
-- field lent for adding up aside).

-- Moves overage by the change of the overage protection, in memory. Returns the sum that overage is
-- part of, and the difference.
local function move_overage(account, overage_protection)
  local difference = exact_sum(account.key, overage_protection, negated(account.overage))
  local sum = account.current_grant == OVERAGE and 'left_of_current' or 'left_of_others'
  account[sum] = exact_sum(account.key, account[sum], difference)
  account.overage = overage_protection
  return sum, difference
end

local function move_daily_limit(account, daily_limit)
  account.day_remaining = exact_sum(
    account.key, account.day_remaining, negated(or_zero(account.daily_limit)), or_zero(daily_limit))
  account.daily_limit = daily_limit
end

-- Returns the new graces; one that goes on keeps the time at which it began.
local function keep_begun(account, graces)
  local began_ms = {}
  for _, grace in ipairs(read_graces(account)) do
    began_ms[grace.traffic_class] = grace.began_ms
  end
  local kept = decode_graces(graces)
  for _, grace in ipairs(kept) do grace.began_ms = began_ms[grace.traffic_class] or ABSENT end
  return encode_graces(kept)
end

local function update_account(keys, arguments)
  local account_key, replay_key, journal_key, grants_key = unpack(keys)
  local epoch, operation_number, method, operation, replay_ttl_ms, status,
    overage_protection_nanos, daily_limit_nanos, flags, thresholds, graces = unpack(arguments)

  local account, reply = begin_operation(
    account_key, journal_key, grants_key, nil, epoch, operation_number)
  if not account then return reply end
  unpack_settings(account)
  local sum, difference = move_overage(account, overage_protection_nanos)
  move_daily_limit(account, daily_limit_nanos)
  account.status = status
  local changed = decode_flags(flags)
  for _, name in ipairs({'management_off', 'thresholds', 'graces'}) do
    set_flag(account, name, changed[name])
  end
  pack_settings(account)
  graces = keep_begun(account, graces)

  local effect, failure = tell_settings(account, 'update', method, operation)
  if not effect then return failure end
  write_settings(account)
  redis.call(
    'HSET', account_key, FIELD[sum], account[sum], FIELD.day_remaining, account.day_remaining)
  if sum == 'left_of_others' then redis.call('HINCRBY', grants_key, OVERAGE, difference) end
  redis.call('HDEL', account_key, FIELD.thresholds, FIELD.graces)
  write_lists(account_key, thresholds, graces)
  remember_operation(replay_key, replay_ttl_ms)
  return {'ok', effect}
end

register('update_account', update_account, {'allow-oom'})
