-- grant_credits: adds a grant, whose number is the operation's. That the sums stay within int64 was
-- settled when the operation was recorded.
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
-- ARGV[6] amount_nanos
-- ARGV[7] grant_terms: "pays_debt type priority expires_ms effective_ms scope" (GRANT_TERMS)
-- ARGV[8] thresholds: the account's from here on, or = to leave them
-- ARGV[9] due_member: the account's member in accounts_by_due
--
-- Returns {'ok', effect} | {'replayed'} | {'behind', number of the last operation} | {'absent'}
--   | {'due'} (process_due_grants comes first) | {'stale'}.
-- Writes the journal (and what follows from the grant there too), the account, its grants, the due
-- time and the replay record; nothing at all unless it returns 'ok'.

-- Plans the grant: one whose time has not come is scheduled, and moves nothing yet.
local function plan(account, number, amount, terms)
  if terms.effective_ms ~= ABSENT and account.now_ms < tonumber(terms.effective_ms) then
    return {amount = '0', is_scheduled = true}
  end
  local is_scoped = terms.scope ~= ABSENT
  local part = encode_part(number, amount, is_scoped)
  return {
    amount = amount,
    allocation = encode_allocation(ABSENT, part, ABSENT, ABSENT),
    ends_graces = ends_graces(account, amount, is_scoped),
  }
end

local function write_thresholds(account, thresholds)
  set_flag(account, 'thresholds', thresholds ~= '')
  redis.call('HSET', account.key, FIELD.thresholds, thresholds)
end

local function grant_credits(keys, arguments)
  local account_key, replay_key, journal_key, grants_key, accounts_by_due_key = unpack(keys)
  local epoch, operation_number, method, operation, replay_ttl_ms, amount_nanos, grant_terms,
    thresholds, due_member = unpack(arguments)

  local account, reply = begin_operation(
    account_key, journal_key, grants_key, nil, epoch, operation_number)
  if not account then return reply end
  local grant = plan(
    account, operation_number, amount_nanos, decode(GRANT_TERMS, grant_terms, {}))
  local effect, failure = tell_operation(account, 'grant', grant, method, operation)
  if not effect then return failure end
  if thresholds ~= '=' then write_thresholds(account, thresholds) end
  write_changed_settings(account)
  local grants = read_grants(account)
  grants:schedule(operation_number, amount_nanos, grant_terms)
  if not grant.is_scheduled then grants:start(operation_number, amount_nanos, grant.ends_graces) end
  grants:settle()
  note_due(accounts_by_due_key, account, due_member)
  remember_operation(replay_key, replay_ttl_ms)
  return {'ok', effect}
end

register('grant_credits', grant_credits, {'allow-oom'})
