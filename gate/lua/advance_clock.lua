#!lua flags=allow-oom
-- advance_clock: moves an account's test clock forward. Its holds that end by then are the caller's to expire.
--
-- KEYS[1] account   KEYS[2] journal   KEYS[3] replay record
-- ARGV[1] epoch     ARGV[2] number of the operation   ARGV[3] method   ARGV[4] operation, as recorded
-- ARGV[5] the new time, ms
-- ARGV[6] how long to remember the request id, ms
--
-- Returns {'ok', effect} | {'replayed'} | {'behind', op} | {'absent'} | {'stale'}. The effect's sums are those of the new day.
-- Writes the journal, the account and the replay record; nothing at all unless it returns 'ok'.
-- @include account
-- @include journal
-- @include operation
local account_key, journal_key, replay_key = KEYS[1], KEYS[2], KEYS[3]
local epoch, op_seq, method, operation, clock = ARGV[1], ARGV[2], ARGV[3], ARGV[4], ARGV[5]
local replay_ttl_ms = ARGV[6]

local account = read_account(account_key, epoch)
if not account then return {'absent'} end
local out = out_of_turn(account, op_seq)
if out then return out end

account.now = tonumber(clock)
roll_day(account)
local effect = effect_line('K', account, '0', {}, '-')
local failed = journal(journal_key, epoch, effect, method, operation, '')
if failed then return failed end
write_day(account_key, account)
redis.call('HSET', account_key, 'op', op_seq, 'clk', clock)
remember_operation(replay_key, effect, replay_ttl_ms)
return {'ok', effect}
