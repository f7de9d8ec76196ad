#!lua flags=allow-oom
-- delete_budget: a budget gone. Holds that counted in it count on without it.
--
-- KEYS[1] account   KEYS[2] replay record   KEYS[3] journal   KEYS[4] grants beside the account   KEYS[5] the account's budgets
-- ARGV[1] epoch     ARGV[2] number of the operation   ARGV[3] method   ARGV[4] operation, as recorded
-- ARGV[5] how long to remember the request id, ms
-- ARGV[6] budget's id   ARGV[7] its labels
--
-- Returns {'ok', effect} | {'replayed'} | {'behind', op} | {'absent'} | {'due'} | {'stale'}.
-- Writes the journal, the account's settings, its budgets and the replay record; nothing at all unless it returns 'ok'.
-- @include account
-- @include journal
-- @include budgets
-- @include operation
local account_key, replay_key, journal_key, _, budgets_key = unpack(KEYS)
local epoch, op_seq, method, operation, replay_ttl_ms, id, labels = unpack(ARGV)

local account = read_account(account_key, epoch)
if not account then return {'absent'} end
local out = out_of_turn(account, op_seq)
if out then return out end
if is_due(account) then return {'due'} end

account.op = op_seq
local effect = effect_line('U', account, '0', {}, account.has.o and 'o' or '', '-')
local failed = journal(journal_key, epoch, effect, method, operation, '')
if failed then return failed end
remove_budget(account, budgets_key, id, labels)
note_scopes(account, budgets_key)
write_settings(account)
if account.rolled then redis.call('HSET', account_key, 'room', account.room) end
remember_operation(replay_key, replay_ttl_ms)
return {'ok', effect}
