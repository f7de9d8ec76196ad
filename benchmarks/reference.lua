#!lua flags=allow-oom
-- reference: the least that a debit can do in Redis, with no check and no arithmetic: what gate/lua/debit.lua is measured against.
--
-- KEYS[1] account (a hash of 15 fields)   KEYS[2] replay record   KEYS[3] journal (a stream)
-- ARGV[1] epoch   ARGV[2] fingerprint   ARGV[3] how long to remember the reply, ms
-- ARGV[4] an effect line   ARGV[5] method   ARGV[6] request   ARGV[7..9] new values of three sums
--
-- Returns {'ok', effect}. Writes all three keys.
local account_key, replay_key, journal_key = KEYS[1], KEYS[2], KEYS[3]
local epoch, fingerprint, replay_ttl_ms, effect, method, request = ARGV[1], ARGV[2], ARGV[3], ARGV[4], ARGV[5], ARGV[6]

redis.call('HMGET', account_key,
  'ep', 'op', 'st', 'cur', 'clk', 'day', 'sp', 'held', 'ovr', 'tot', 'used', 'room', 'lim', 'dbase', 'mbase')
redis.call('XADD', journal_key, epoch .. '-*', 'e', effect, 'm', method, 'q', request, 'p', '')
redis.call('HSET', account_key, 'sp', ARGV[7], 'used', ARGV[8], 'room', ARGV[9])
redis.call('SET', replay_key, fingerprint .. ' ' .. effect, 'PX', replay_ttl_ms)
return {'ok', effect}
