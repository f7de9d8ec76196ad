-- void_grant: takes back what is unspent of a grant, or a part of that. What holds have pinned
-- stays theirs.
--
-- KEYS[1] account
-- KEYS[2] replay: the request's replay record
-- KEYS[3] journal
-- KEYS[4] grants: those beside the account
-- KEYS[5] accounts_by_due
--
-- ARGV[1] epoch
-- ARGV[2] operation_number
-- ARGV[3] method
-- ARGV[4] operation: as recorded
-- ARGV[5] replay_ttl_ms: how long to remember the request id
-- ARGV[6] grant_number
-- ARGV[7] amount_nanos: how much at most, or - for all: then what holds have left of the grant
--   comes back to nothing. A scheduled one goes whole
-- ARGV[8] due_member: the account's member in accounts_by_due
--
-- Returns {'ok', effect} | {'replayed'} | {'behind', number of the last operation} | {'absent'}
--   | {'due'} (process_due_grants comes first) | {'stale'}.
-- Writes the journal, the account, its grants, the due time and the replay record; nothing at all
-- unless it returns 'ok'.

-- Plans what is taken back: nothing of a grant that is gone or over.
local function plan(grants, grant, most)
  local withdrawal = {amount = '0', allocation = NOTHING_MOVED}
  if not grant or grant.state == OVER then return withdrawal end
  if grant.state == SCHEDULED then
    -- Before the grant begins, there is nothing of it to spend, and nothing to take a part of.
    withdrawal.is_scheduled = true
    withdrawal.finishes = true
    return withdrawal
  end
  local amount = most == ABSENT and grant.left or smaller(most, grant.left)
  withdrawal.finishes = most == ABSENT or amount == grant.left and grant.held == '0'
  if amount ~= '0' then
    withdrawal.amount = amount
    withdrawal.part = grants:part(grant.number, amount)
    withdrawal.allocation = encode_allocation(
      encode_parts({withdrawal.part}), ABSENT, ABSENT, ABSENT)
  end
  return withdrawal
end

local function void_grant(keys, arguments)
  local account_key, replay_key, journal_key, grants_key, accounts_by_due_key = unpack(keys)
  local epoch, operation_number, method, operation, replay_ttl_ms, grant_number, amount_nanos,
    due_member = unpack(arguments)

  local account, reply = begin_operation(
    account_key, journal_key, grants_key, nil, epoch, operation_number)
  if not account then return reply end
  local grants = read_grants(account)
  local grant = grants.all[grant_number]
  local withdrawal = plan(grants, grant, amount_nanos)
  local effect, failure = tell_operation(account, 'void', withdrawal, method, operation)
  if not effect then return failure end
  write_changed_settings(account)
  if withdrawal.part then
    grants:lose(withdrawal.part)
    cross_thresholds(account, withdrawal.amount, false)
  elseif withdrawal.is_scheduled then
    redis.call('HDEL', grants_key, grant_number)
  end
  if withdrawal.finishes then grants:finish(grant) end
  grants:settle()
  note_due(accounts_by_due_key, account, due_member)
  remember_operation(replay_key, replay_ttl_ms)
  return {'ok', effect}
end

register('void_grant', void_grant, {'allow-oom'})
