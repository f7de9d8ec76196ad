#!lua flags=no-writes
-- get_balance: a look at the account by its clock.
--
-- KEYS[1] account   KEYS[2] grants beside the account   ARGV[1] epoch
-- Returns {'ok', look, currency, graces, grants' fields and values} | {'due'} | {'absent'}. Writes nothing, not even a new day.
-- @include account
local account_key, grants_key = KEYS[1], KEYS[2]
local epoch = ARGV[1]

local account = read_account(account_key, epoch)
if not account then return {'absent'} end
if is_due(account) then return {'due'} end
local graces = account.has.g and redis.call('HGET', account_key, 'gr') or ''
local look = effect_line('B', account, '0', {}, account.has.o and 'o' or '', '-')
return {'ok', look, account.cur, graces, grant_fields(account, grants_key)}
