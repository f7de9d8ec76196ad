-- inspect_account: looks at the account as its hash stands, not moved into the present day, and at
-- the end of its journal, at one instant. For whoever compares Redis with the ledger.
--
-- KEYS[1] account
-- KEYS[2] journal
-- KEYS[3] grants: those beside the account
-- KEYS[4] budgets: the account's
--
-- ARGV[1] epoch
--
-- Returns {'ok', id of the journal's newest entry, look, grants' fields and values, budgets' fields
--   and values} | {'absent'}.
-- Writes nothing.

local function inspect_account(keys, arguments)
  local account_key, journal_key, grants_key, budgets_key = unpack(keys)
  local epoch = unpack(arguments)

  local account = stored_account(account_key, epoch, journal_key, grants_key, budgets_key)
  if not account then return {'absent'} end
  account.at_ms = '0'
  local _, newest_id = journal_end(journal_key)
  local budget_fields = redis.call('HGETALL', budgets_key)
  return {'ok', newest_id, encode_look(account, {}), grant_fields(account), budget_fields}
end

register('inspect_account', inspect_account, {'no-writes'})
