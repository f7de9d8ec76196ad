#!lua flags=no-writes
-- get_balance: a look at the account by its clock.
--
-- KEYS[1] account   ARGV[1] epoch
-- Returns {'ok', look, currency} | {'absent'}. Writes nothing, not even a new day.
-- @include account
local account_key, epoch = KEYS[1], ARGV[1]

local account = read_account(account_key, epoch)
if not account then return {'absent'} end
return {'ok', effect_line('B', account, '0', {}, '-'), account.cur}
