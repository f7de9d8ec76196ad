-- get_balance: looks at the account by its clock.
--
-- KEYS[1] account
-- KEYS[2] grants: those beside the account
--
-- ARGV[1] epoch
--
-- Returns {'ok', look, currency, graces, grants' fields and values}
--   | {'due'} (process_due_grants comes first) | {'absent'}.
-- Writes nothing, not even a new day.

local function get_balance(keys, arguments)
  local account_key, grants_key = unpack(keys)
  local epoch = unpack(arguments)

  local account = read_account(account_key, epoch, nil, grants_key)
  if not account then return {'absent'} end
  if is_due(account) then return {'due'} end
  local graces = account.has.graces and redis.call('HGET', account_key, FIELD.graces) or ''
  local look = encode_look(account, {management_off = account.has.management_off})
  return {'ok', look, account.currency, graces, grant_fields(account)}
end

register('get_balance', get_balance, {'no-writes'})
