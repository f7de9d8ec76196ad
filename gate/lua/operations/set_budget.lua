#!lua flags=allow-oom
-- set_budget: sets a budget, new or changed. A new limit moves its room by the difference; made anew, it begins with all of it.
--
-- KEYS[1] account   KEYS[2] replay record   KEYS[3] journal   KEYS[4] grants beside the account   KEYS[5] the account's budgets
-- ARGV[1] epoch     ARGV[2] number of the operation   ARGV[3] method   ARGV[4] operation, as recorded
-- ARGV[5] how long to remember the request id, ms
-- ARGV[6] budget's id   ARGV[7] 1 if hard, else 0   ARGV[8] window: day, week, month or lifetime   ARGV[9] limit, nanos
-- ARGV[10] levels: "id:nanos|...", or -   ARGV[11] labels   ARGV[12] 1 if anew, else 0   ARGV[13] the labels it had before, if others
--
-- Returns {'ok', effect} | {'replayed'} | {'behind', op} | {'absent'} | {'due'} | {'stale'}.
-- Writes the journal, the account's settings, its budgets and the replay record; nothing at all unless it returns 'ok' (a field lent for
-- adding up aside).
-- @include account
-- @include journal
-- @include budgets
-- @include operation
local account_key, replay_key, journal_key, _, budgets_key = unpack(KEYS)
local epoch, op_seq, method, operation, replay_ttl_ms = unpack(ARGV, 1, 5)
local id, hard, window, limit, levels, labels, anew, replaces = unpack(ARGV, 6)

local account = read_account(account_key, epoch)
if not account then return {'absent'} end
local out = out_of_turn(account, op_seq)
if out then return out end
if is_due(account) then return {'due'} end

local was = find_budget(account, budgets_key, id)
local start, stop = window_of(window, tonumber(account.day))
local budget = {
  id = id, hard = hard == '1', window = window, limit = limit, levels = levels, labels = labels, number = op_seq,
  start = start, stop = stop, room = limit, held = '0',
}
if was and anew == '0' then
  budget.number, budget.held = was.number, was.held
  budget.room = exact_sum(account_key, was.room, negated(was.limit), limit)
end
account.op = op_seq
local effect = effect_line('U', account, '0', {}, account.has.o and 'o' or '', '-')
local failed = journal(journal_key, epoch, effect, method, operation, '')
if failed then return failed end
if was and replaces ~= '' then remove_budget(account, budgets_key, id, replaces) end
put_budget(account, budgets_key, budget)
note_scopes(account, budgets_key)
write_settings(account)
if account.rolled then redis.call('HSET', account_key, 'room', account.room) end
remember_operation(replay_key, replay_ttl_ms)
return {'ok', effect}
