#!lua flags=allow-oom
-- grant_credits: adds a grant, whose number is the operation's. That the sums stay within int64 was settled when it was recorded.
--
-- KEYS[1] account   KEYS[2] replay record   KEYS[3] journal   KEYS[4] grants beside the account   KEYS[5] accounts by their next due time
-- ARGV[1] epoch     ARGV[2] number of the operation   ARGV[3] method   ARGV[4] operation, as recorded
-- ARGV[5] how long to remember the request id, ms
-- ARGV[6] amount, nanos   ARGV[7] what it is: "pays type priority expires effective scope" (gate/store/keys.py)
-- ARGV[8] the account's levels from here on, or = to leave them      ARGV[9] its member in the accounts by due time
--
-- Returns {'ok', effect} | {'replayed'} | {'behind', op} | {'absent'} | {'due'} | {'stale'}.
-- Writes the journal (and what follows from the grant there too), the account, its grants, the due time and the replay record; nothing at
-- all unless it returns 'ok'.
-- @include account
-- @include journal
-- @include thresholds
-- @include grants
-- @include grant_changes
-- @include operation
-- @include start_grant
local account_key, replay_key, journal_key, grants_key, due_key = unpack(KEYS)
local epoch, op_seq, method, operation, replay_ttl_ms, amount, meta, levels, member = unpack(ARGV)

local account = read_account(account_key, epoch)
if not account then return {'absent'} end
local out = out_of_turn(account, op_seq)
if out then return out end
if is_due(account) then return {'due'} end

local effective, scope = meta:match('^%S+ %S+ %S+ %S+ (%S+) (.*)$')
local scheduled, scoped = effective ~= '-' and account.now < tonumber(effective), scope ~= '-'
local flags, extras = scheduled and 'p' or '', '-'
if not scheduled then
  extras = '-/' .. op_seq .. (scoped and 's' or '') .. ':' .. amount .. '/-/-'
  if ends_graces(account, amount, scoped) then flags = 'e' end
end
local effect = effect_line('G', account, scheduled and '0' or amount, {}, flags, extras)
local failed = journal(journal_key, epoch, effect, method, operation, '')
if failed then return failed end
account.op = op_seq
if levels ~= '=' then
  set_flag(account, 't', levels ~= '')
  redis.call('HSET', account_key, 'lv', levels)
end
write_settings(account)
if account.rolled then redis.call('HSET', account_key, 'room', account.room) end
local funds = grants_of(account, grants_key, journal_key)
funds:put(op_seq, 'p ' .. meta)
redis.call('HSET', grants_key, op_seq, amount)
if not scheduled then start_grant(account, funds, op_seq, amount, flags == 'e') end
funds:settle()
note_due(due_key, account, member)
remember_operation(replay_key, replay_ttl_ms)
return {'ok', effect}
