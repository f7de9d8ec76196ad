-- inspect_account: looks at the account as its hash stands, not moved into the present day, at some
-- of its holds, and at the end of its journal, at one instant. For whoever compares Redis with the
-- ledger.
--
-- KEYS[1] account
-- KEYS[2] journal
-- KEYS[3] grants: those beside the account
-- KEYS[4] budgets: the account's
-- KEYS[5] holds_by_expiry
-- KEYS[6] accounts_by_due
-- KEYS[7...] the key of each hold
--
-- ARGV[1] epoch
-- ARGV[2] due_member: the account's member in accounts_by_due
-- ARGV[3...] the member of each hold in holds_by_expiry
--
-- Returns {'ok', id of the journal's newest entry, look, grants' fields and values, budgets' fields
--   and values, the ids of budgets and their counters' fields and values, the holds' members and
--   what stands of them, {when the account is due, when accounts_by_due says}} | {'absent'}.
-- What stands of a hold is 'amount day expires_ms pins score', or '-' if the hold is not open. The
-- score is '-' if the hold is missing in holds_by_expiry.
-- Writes nothing.

local function score_of(key, member)
  return redis.call('ZSCORE', key, member) or ABSENT
end

local function describe_hold(hold_key, epoch, score)
  local hold = read_hold(hold_key, '', epoch)
  if not hold or not hold.is_open then return ABSENT end
  return table.concat({hold.amount, hold.day, hold.expires_ms, hold.pins, score}, ' ')
end

-- Returns the id of each budget that has counters, and their fields and values.
local function counters_of(account, budget_fields)
  local counters = {}
  for i = 1, #budget_fields, 2 do
    local budget_id = budget_fields[i]:match('^f (.*)$')
    local fields = budget_id and redis.call('HGETALL', counters_key(account, budget_id)) or NONE
    if #fields > 0 then
      counters[#counters + 1] = budget_id
      counters[#counters + 1] = fields
    end
  end
  return counters
end

local function inspect_account(keys, arguments)
  local account_key, journal_key, grants_key, budgets_key, holds_by_expiry_key,
    accounts_by_due_key = unpack(keys, 1, 6)
  local epoch, due_member = unpack(arguments, 1, 2)

  local account = stored_account(account_key, epoch, journal_key, grants_key, budgets_key)
  if not account then return {'absent'} end
  account.at_ms = '0'
  local _, newest_id = journal_end(journal_key)
  local budget_fields = redis.call('HGETALL', budgets_key)
  local next_arguments = reader(arguments, 2)
  local holds = {}
  for i = 7, #keys do
    local hold_member = next_arguments(1)
    holds[#holds + 1] = hold_member
    holds[#holds + 1] = describe_hold(keys[i], epoch, score_of(holds_by_expiry_key, hold_member))
  end
  local due = {due_score(account), score_of(accounts_by_due_key, due_member)}
  return {
    'ok', newest_id, encode_look(account, {}), grant_fields(account), budget_fields,
    counters_of(account, budget_fields), holds, due}
end

register('inspect_account', inspect_account, {'no-writes'})
