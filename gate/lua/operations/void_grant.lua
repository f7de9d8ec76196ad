#!lua flags=allow-oom
-- void_grant: takes back what is unspent of a grant, or a part of that. What holds have pinned stays theirs.
--
-- KEYS[1] account   KEYS[2] replay record   KEYS[3] journal   KEYS[4] grants beside the account   KEYS[5] accounts by their next due time
-- ARGV[1] epoch     ARGV[2] number of the operation   ARGV[3] method   ARGV[4] operation, as recorded
-- ARGV[5] how long to remember the request id, ms
-- ARGV[6] number of the grant   ARGV[7] how much at most, nanos, or - for all: then what holds
--   have left of it comes back to nothing. A scheduled one goes whole
-- ARGV[8] its member in the accounts by due time
--
-- Returns {'ok', effect} | {'replayed'} | {'behind', op} | {'absent'} | {'due'} | {'stale'}.
-- Writes the journal, the account, its grants, the due time and the replay record; nothing at all unless it returns 'ok'.
-- @include account
-- @include journal
-- @include thresholds
-- @include grants
-- @include grant_changes
-- @include operation
local account_key, replay_key, journal_key, grants_key, due_key = unpack(KEYS)
local epoch, op_seq, method, operation, replay_ttl_ms, number, most, member = unpack(ARGV)

local account = read_account(account_key, epoch)
if not account then return {'absent'} end
local out = out_of_turn(account, op_seq)
if out then return out end
if is_due(account) then return {'due'} end

local funds = grants_of(account, grants_key, journal_key)
local it = funds.all[number]
local amount, scheduled = '0', false
if it and it.state ~= 'x' then
  scheduled = it.state == 'p'
  if scheduled then most = '-' end -- before it begins there is nothing of it to spend, and nothing to take a part of
  amount = (most == '-' or less(it.left, most)) and it.left or most
end
local part = amount ~= '0' and not scheduled and funds:part(number, amount) or nil
local extras = part and text_of({part}) .. '/-/-/-' or '-/-/-/-'
local effect = effect_line('Z', account, part and amount or '0', {}, scheduled and 'p' or '', extras)
local failed = journal(journal_key, epoch, effect, method, operation, '')
if failed then return failed end
account.op = op_seq
write_settings(account)
if account.rolled then redis.call('HSET', account_key, 'room', account.room) end
if part then
  funds:lose(part)
  cross_levels(journal_key, account, amount, false)
elseif scheduled then
  redis.call('HDEL', grants_key, number)
end
if it and it.state ~= 'x' and (most == '-' or amount == it.left and it.held == '0') then funds:over(it) end
funds:settle()
note_due(due_key, account, member)
remember_operation(replay_key, replay_ttl_ms)
return {'ok', effect}
