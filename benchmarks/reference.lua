#!lua flags=allow-oom
-- reference: the least that a debit can do in Redis, with no check and no arithmetic. It is what
-- gate/lua/debit.lua is measured against.
--
-- KEYS[1] account (a hash of 15 fields)   KEYS[2] replay record   KEYS[3] journal (a stream)
-- ARGV[1] epoch   ARGV[2] fingerprint   ARGV[3] how long to remember the reply, ms
-- ARGV[4] an effect line   ARGV[5] method   ARGV[6] request
-- ARGV[7..9] new values: spendable, used, left today
--
-- Returns {'ok', effect}. Writes all three keys.
local account_key, replay_key, journal_key = KEYS[1], KEYS[2], KEYS[3]
local epoch, fingerprint, replay_ttl_ms = ARGV[1], ARGV[2], ARGV[3]
local effect, method, request = ARGV[4], ARGV[5], ARGV[6]
local spendable, used, left_today = ARGV[7], ARGV[8], ARGV[9]

redis.call('HMGET', account_key,
  'epoch', 'operation', 'status', 'currency', 'clock', 'day', 'spendable', 'held', 'overage',
  'total', 'used', 'left_today', 'limit', 'day_base', 'month_base')
redis.call('XADD', journal_key, epoch .. '-*', 'e', effect, 'm', method, 'q', request, 'p', '')
redis.call('HSET', account_key, 'spendable', spendable, 'used', used, 'left_today', left_today)
redis.call('SET', replay_key, fingerprint .. ' ' .. effect, 'PX', replay_ttl_ms)
return {'ok', effect}
