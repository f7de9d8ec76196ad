#!lua flags=no-writes
-- sight: the account as its hash stands, not rolled into the present day, and where its journal stands, at one instant.
-- For whoever compares Redis with the books.
--
-- KEYS[1] account   KEYS[2] journal
-- ARGV[1] epoch
-- Returns {'ok', the journal's newest id, look} | {'absent'}. Writes nothing.
-- @include account
local account_key, journal_key = KEYS[1], KEYS[2]
local epoch = ARGV[1]

local value = redis.call('HMGET', account_key, unpack(FIELDS))
if value[1] ~= epoch then return {'absent'} end
local account = {now = 0}
for i, field in ipairs(FIELDS) do account[field] = value[i] end
local info, newest = redis.call('XINFO', 'STREAM', journal_key), '0-0'
for i = 1, #info, 2 do
  if info[i] == 'last-generated-id' then newest = info[i + 1] end
end
return {'ok', newest, effect_line('B', account, '0', {}, '-')}
