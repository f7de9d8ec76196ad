#!lua flags=allow-oom
-- advance_clock: moves an account's test clock forward. Its holds and grants that are due by then are the caller's to bring up to date.
--
-- KEYS[1] account   KEYS[2] replay record   KEYS[3] journal
-- ARGV[1] epoch     ARGV[2] number of the operation   ARGV[3] method   ARGV[4] operation, as recorded
-- ARGV[5] how long to remember the request id, ms   ARGV[6] the new time, ms
--
-- Returns {'ok', effect} | {'replayed'} | {'behind', op} | {'absent'} | {'due'} | {'stale'}. The effect's sums are those of the new day.
-- Writes the journal, the account and the replay record; nothing at all unless it returns 'ok'.
-- @include account
-- @include journal
-- @include operation
local account_key, replay_key, journal_key = KEYS[1], KEYS[2], KEYS[3]
local epoch, op_seq, method, operation, replay_ttl_ms, clock = unpack(ARGV)

local account = read_account(account_key, epoch)
if not account then return {'absent'} end
local out = out_of_turn(account, op_seq)
if out then return out end
if is_due(account) then return {'due'} end

account.at, account.now, account.clk, account.op = clock, tonumber(clock), clock, op_seq
local today = math.floor(account.now / 86400000)
if today > tonumber(account.day) then roll_day(account, today) end
local effect = effect_line('K', account, '0', {}, account.has.o and 'o' or '', '-')
local failed = journal(journal_key, epoch, effect, method, operation, '')
if failed then return failed end
write_settings(account)
if account.rolled then redis.call('HSET', account_key, 'room', account.room) end
remember_operation(replay_key, replay_ttl_ms)
return {'ok', effect}
