#!lua flags=allow-oom
-- update_account: changes settings. A new overage protection or daily limit moves what may be spent by its difference from the old one.
--
-- KEYS[1] account   KEYS[2] journal   KEYS[3] replay record
-- ARGV[1] epoch     ARGV[2] number of the operation   ARGV[3] method   ARGV[4] operation, as recorded
-- ARGV[5] status    ARGV[6] overage protection, nanos  ARGV[7] daily limit, nanos, or -      (all three as they are to be)
-- ARGV[8] how long to remember the request id, ms
--
-- Returns {'ok', effect} | {'replayed'} | {'behind', op} | {'absent'} | {'stale'}. The effect's sums are the account as changed.
-- Writes the journal, the account and the replay record (a field lent for adding up aside, nothing at all unless it returns 'ok').
-- @include account
-- @include journal
-- @include operation
local account_key, journal_key, replay_key = KEYS[1], KEYS[2], KEYS[3]
local epoch, op_seq, method, operation = ARGV[1], ARGV[2], ARGV[3], ARGV[4]
local status, overage, limit = ARGV[5], ARGV[6], ARGV[7]
local replay_ttl_ms = ARGV[8]

local account = read_account(account_key, epoch)
if not account then return {'absent'} end
local out = out_of_turn(account, op_seq)
if out then return out end

local limit_was, limit_is = account.lim == '-' and '0' or account.lim, limit == '-' and '0' or limit
account.sp = exact_sum(account_key, account.sp, negated(account.ovr), overage)
account.room = exact_sum(account_key, account.room, negated(limit_was), limit_is)
account.st, account.ovr, account.lim, account.op = status, overage, limit, op_seq
local effect = effect_line('U', account, '0', {}, '-')
local failed = journal(journal_key, epoch, effect, method, operation, '')
if failed then return failed end
write_day(account_key, account)
redis.call('HSET', account_key, 'op', op_seq, 'st', status, 'ovr', overage, 'lim', limit, 'sp', account.sp, 'room', account.room)
remember_operation(replay_key, effect, replay_ttl_ms)
return {'ok', effect}
