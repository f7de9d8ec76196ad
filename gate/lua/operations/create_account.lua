#!lua
-- create_account: the account's first operation.
--
-- KEYS[1] account   KEYS[2] replay record   KEYS[3] journal   KEYS[4] grants beside the account   KEYS[5] its budgets
-- ARGV[1] epoch     ARGV[2] number of the operation: 1   ARGV[3] method   ARGV[4] operation, as recorded
-- ARGV[5] how long to remember the request id, ms
-- ARGV[6] currency  ARGV[7] overage protection, nanos   ARGV[8] daily limit, nanos, or -   ARGV[9] test clock, ms, or -
-- ARGV[10] flags    ARGV[11] levels   ARGV[12] graces (gate/store/keys.py: `s`, `lv`, `gr`)
--
-- Returns {'ok', effect} | {'replayed'} | {'stale'}. The effect's sums are the account as created.
-- Writes the journal, the account and the replay record; nothing at all unless it returns 'ok'.
-- @include account
-- @include journal
-- @include operation
local account_key, replay_key, journal_key, grants_key, budgets_key = unpack(KEYS)
local epoch, op_seq, method, operation, replay_ttl_ms = unpack(ARGV, 1, 5)
local currency, overage, limit, clock, flags, levels, graces = unpack(ARGV, 6)

if stored_account(account_key, epoch) then return {'replayed'} end
local at = now_of(clock)
local account = {
  key = account_key, ep = epoch, st = 'active', clk = clock, at = at, day = string.format('%.0f', math.floor(at / 86400000)),
  due = '-', flags = flags, has = flags_in(flags), g = '0', op = op_seq, cur = currency,
  gl = overage, gh = '0', ol = '0', oh = '0', used = '0', room = limit == '-' and '0' or limit,
  lim = limit, ovr = overage, tot = '0', exp = '0', dbase = '0', mbase = '0', ybase = '0',
}
pack_tail(account)
local effect = effect_line('C', account, '0', {}, account.has.o and 'o' or '', '-')
local failed = journal(journal_key, epoch, effect, method, operation, '')
if failed then return failed end
redis.call('DEL', account_key, grants_key, budgets_key)
redis.call('HSET', account_key, 'gl', overage, 'gh', '0', 'ol', '0', 'oh', '0', 'used', '0', 'room', account.room)
if levels ~= '' then redis.call('HSET', account_key, 'lv', levels) end
if graces ~= '' then redis.call('HSET', account_key, 'gr', graces) end
write_settings(account)
remember_operation(replay_key, replay_ttl_ms)
return {'ok', effect}
