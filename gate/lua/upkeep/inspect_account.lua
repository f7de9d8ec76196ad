#!lua flags=no-writes
-- sight: the account as its hash stands, not rolled into the present day, and where its journal stands, at one instant.
-- For whoever compares Redis with the books.
--
-- KEYS[1] account   KEYS[2] journal   KEYS[3] grants beside the account   KEYS[4] its budgets
-- ARGV[1] epoch
-- Returns {'ok', the journal's newest id, look, grants' fields and values, budgets' fields and values} | {'absent'}. Writes nothing.
-- @include account
local account_key, journal_key, grants_key, budgets_key = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local epoch = ARGV[1]

local account = stored_account(account_key, epoch)
if not account then return {'absent'} end
account.at = '0'
local info, newest = redis.call('XINFO', 'STREAM', journal_key), '0-0'
for i = 1, #info, 2 do
  if info[i] == 'last-generated-id' then newest = info[i + 1] end
end
local look = effect_line('B', account, '0', {}, '', '-')
return {'ok', newest, look, grant_fields(account, grants_key), redis.call('HGETALL', budgets_key)}
