#!lua flags=allow-oom
-- load_account: puts an account back that is missing here, as the ledger knows it, with its open holds. The caller has made sure that the
-- ledger holds everything journaled up to a moment at which the account was missing.
--
-- KEYS[1] account   KEYS[2] journal   KEYS[3] holds by expiry   KEYS[4..] the holds
-- ARGV[1] epoch     ARGV[2..16] the account's fields, in the order of FIELDS, from `ep` on
-- then for each hold: its id, its amount (nanos), its day, its expiry (ms), its member in the holds by expiry
--
-- Returns {'ok'} | {'present'} (somebody else was first; nothing written) | {'stale'} (another epoch has begun).
-- @include account
-- @include hold
local account_key, journal_key, expiries_key = KEYS[1], KEYS[2], KEYS[3]
local epoch = ARGV[1]

if redis.call('HGET', account_key, 'ep') == epoch then return {'present'} end
local last_id = redis.call('XINFO', 'STREAM', journal_key)
for i = 1, #last_id, 2 do
  if last_id[i] == 'last-generated-id' and last_id[i + 1]:match('^(%d+)-') ~= epoch then return {'stale'} end
end

redis.call('DEL', account_key)
local account = {}
for i, field in ipairs(FIELDS) do
  account[field] = ARGV[1 + i]
  redis.call('HSET', account_key, field, account[field])
end
for i = 4, #KEYS do
  local at = 2 + #FIELDS + (i - 4) * 5
  local hold = {id = ARGV[at], amount = ARGV[at + 1], day = ARGV[at + 2], expires = ARGV[at + 3]}
  redis.call('SET', KEYS[i], hold_record(epoch, 'o', hold))
  redis.call('ZADD', expiries_key, reap_at(hold, account), ARGV[at + 4])
end
return {'ok'}
