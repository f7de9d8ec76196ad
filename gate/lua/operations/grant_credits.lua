-- grant_credits: adds a grant, whose number is the operation's. That the sums stay within int64 was
-- settled when the operation was recorded. A refund of a duplicate also takes the duplicate's use
-- back from the day, the month and the budgets, where that use still counts.
--
-- KEYS[1] account
-- KEYS[2] replay: the request's replay record
-- KEYS[3] journal
-- KEYS[4] grants: those beside the account
-- KEYS[5] budgets: the account's
-- KEYS[6] accounts_by_due
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
-- ARGV[10] used_day: the UTC day number on which a refunded duplicate counts, or -
-- ARGV[11] charged_day: the one on which it was charged, or -
-- ARGV[12] counted_in: the budgets that it counts in (COUNTED_IN), or -
--
-- Returns {'ok', effect} | {'replayed'} | {'behind', number of the last operation} | {'absent'}
--   | {'due'} (process_due_grants comes first) | {'stale'}.
-- Writes the journal (and what follows from the grant there too), the account, its grants and
-- budgets, the due time and the replay record; nothing at all unless it returns 'ok' (a field lent
-- for adding up aside).

-- Plans the grant: one whose time has not come is scheduled, and moves nothing yet.
local function plan(account, number, amount, terms, matched)
  if terms.effective_ms ~= ABSENT and account.now_ms < tonumber(terms.effective_ms) then
    return {amount = '0', is_scheduled = true}
  end
  local is_scoped = terms.scope ~= ABSENT
  local part = encode_part(number, amount, is_scoped)
  return {
    amount = amount,
    allocation = encode_allocation(ABSENT, part, ABSENT, encode_budgets(matched)),
    ends_graces = ends_graces(account, amount, is_scoped),
  }
end

-- Returns where use of these days still counts: t today, y yesterday, m this month.
local function plan_uncounting(account, used_day, charged_day)
  if used_day == ABSENT then return '' end
  local day, letters = tonumber(account.day), ''
  if used_day == account.day then
    letters = 't'
  elseif tonumber(used_day) == day - 1 then
    letters = 'y'
  end
  if month_of(tonumber(charged_day)) == month_of(day) then letters = letters .. 'm' end
  return letters
end

-- Takes use back from the account's settings, in memory.
local function uncount(account, letters, amount)
  if letters == '' then return end
  local key = account.key
  unpack_settings(account)
  if letters:find('t', 1, true) then
    account.day_base = exact_sum(key, account.day_base, amount)
  end
  if letters:find('[ty]') then
    account.yesterday_base = exact_sum(key, account.yesterday_base, amount)
  end
  if letters:find('m', 1, true) then
    account.month_base = exact_sum(key, account.month_base, amount)
  end
  pack_settings(account)
end

local function write_thresholds(account, thresholds)
  set_flag(account, 'thresholds', thresholds ~= '')
  redis.call('HSET', account.key, FIELD.thresholds, thresholds)
end

local function grant_credits(keys, arguments)
  local account_key, replay_key, journal_key, grants_key, budgets_key, accounts_by_due_key =
    unpack(keys)
  local epoch, operation_number, method, operation, replay_ttl_ms, amount_nanos, grant_terms,
    thresholds, due_member, used_day, charged_day, counted_in = unpack(arguments)

  local account, reply = begin_operation(
    account_key, journal_key, grants_key, budgets_key, epoch, operation_number)
  if not account then return reply end
  local matched = counted_in == ABSENT and NONE or budgets_counted_in(account, counted_in)
  local grant = plan(
    account, operation_number, amount_nanos, decode(GRANT_TERMS, grant_terms, {}), matched)
  grant.uncounts = plan_uncounting(account, used_day, charged_day)
  local effect, failure = tell_operation(account, 'grant', grant, method, operation)
  if not effect then return failure end
  if thresholds ~= '=' then write_thresholds(account, thresholds) end
  uncount(account, grant.uncounts, amount_nanos)
  write_changed_settings(account)
  if used_day == account.day then add_to_account(account, 'day_remaining', amount_nanos) end
  move_budgets(account, matched, 'remaining_field', amount_nanos)
  local grants = read_grants(account)
  grants:schedule(operation_number, amount_nanos, grant_terms)
  if not grant.is_scheduled then grants:start(operation_number, amount_nanos, grant.ends_graces) end
  grants:settle()
  note_due(accounts_by_due_key, account, due_member)
  remember_operation(replay_key, replay_ttl_ms)
  return {'ok', effect}
end

register('grant_credits', grant_credits, {'allow-oom'})
