#!lua
-- create_account: the account's first operation.
--
-- KEYS[1] account   KEYS[2] journal   KEYS[3] replay record
-- ARGV[1] epoch     ARGV[2] method    ARGV[3] operation, as recorded
-- ARGV[4] currency  ARGV[5] overage protection, nanos   ARGV[6] daily limit, nanos, or -   ARGV[7] test clock, ms, or -
-- ARGV[8] how long to remember the request id, ms
--
-- Returns {'ok', effect} | {'replayed'} | {'stale'}. The effect's sums are the account as created.
-- Writes the journal, the account and the replay record; nothing at all unless it returns 'ok'.
-- @include account
-- @include journal
-- @include operation
local account_key, journal_key, replay_key = KEYS[1], KEYS[2], KEYS[3]
local epoch, method, operation = ARGV[1], ARGV[2], ARGV[3]
local currency, overage, limit, clock = ARGV[4], ARGV[5], ARGV[6], ARGV[7]
local replay_ttl_ms = ARGV[8]

if redis.call('HGET', account_key, 'ep') == epoch then return {'replayed'} end
local now = now_ms(clock)
local account = {
  ep = epoch, op = '1', st = 'active', cur = currency, clk = clock, now = now,
  day = string.format('%.0f', math.floor(now / 86400000)),
  sp = overage, held = '0', ovr = overage, tot = '0', used = '0',
  room = limit == '-' and '0' or limit, lim = limit, dbase = '0', mbase = '0',
}
local effect = effect_line('C', account, '0', {}, '-')
local failed = journal(journal_key, epoch, effect, method, operation, '')
if failed then return failed end
redis.call('DEL', account_key)
for _, field in ipairs(FIELDS) do redis.call('HSET', account_key, field, account[field]) end
remember_operation(replay_key, effect, replay_ttl_ms)
return {'ok', effect}
