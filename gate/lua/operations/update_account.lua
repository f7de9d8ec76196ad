#!lua flags=allow-oom
-- update_account: changes settings. A new overage protection or daily limit moves what may be spent by its difference from the old one.
--
-- KEYS[1] account   KEYS[2] replay record   KEYS[3] journal   KEYS[4] grants beside the account
-- ARGV[1] epoch     ARGV[2] number of the operation   ARGV[3] method   ARGV[4] operation, as recorded
-- ARGV[5] how long to remember the request id, ms
-- ARGV[6] status    ARGV[7] overage protection, nanos  ARGV[8] daily limit, nanos, or -      (all as they are to be)
-- ARGV[9] flags that follow from the settings, of o t g   ARGV[10] levels   ARGV[11] graces, none begun (gate/store/keys.py: `lv`, `gr`)
--
-- Returns {'ok', effect} | {'replayed'} | {'behind', op} | {'absent'} | {'due'} | {'stale'}. The effect's sums are the account as changed.
-- Writes the journal, the account and the replay record (a field lent for adding up aside, nothing at all unless it returns 'ok').
-- @include account
-- @include journal
-- @include operation
local account_key, replay_key, journal_key, grants_key = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local epoch, op_seq, method, operation, replay_ttl_ms = unpack(ARGV, 1, 5)
local status, overage, limit, flags, levels, graces = unpack(ARGV, 6)

local account = read_account(account_key, epoch)
if not account then return {'absent'} end
local out = out_of_turn(account, op_seq)
if out then return out end
if is_due(account) then return {'due'} end

unpack_tail(account)
local limit_was, limit_is = account.lim == '-' and '0' or account.lim, limit == '-' and '0' or limit
local more = exact_sum(account_key, overage, negated(account.ovr))
local bucket = account.g == '0' and 'gl' or 'ol'
account[bucket] = exact_sum(account_key, account[bucket], more)
account.room = exact_sum(account_key, account.room, negated(limit_was), limit_is)
account.st, account.ovr, account.lim, account.op = status, overage, limit, op_seq
for _, flag in ipairs({'o', 't', 'g'}) do set_flag(account, flag, flags:find(flag, 1, true) ~= nil) end
pack_tail(account)

-- A grace that goes on keeps the time at which it began.
local began, kept = {}, {}
for each in (redis.call('HGET', account_key, 'gr') or ''):gmatch('[^\n]+') do
  local at, name = each:match('^%S+ %S+ (%S+) (.*)$')
  began[name] = at
end
for each in graces:gmatch('[^\n]+') do
  local bounds, name = each:match('^(%S+ %S+) %S+ (.*)$')
  kept[#kept + 1] = bounds .. ' ' .. (began[name] or '-') .. ' ' .. name
end

local effect = effect_line('U', account, '0', {}, account.has.o and 'o' or '', '-')
local failed = journal(journal_key, epoch, effect, method, operation, '')
if failed then return failed end
write_settings(account)
redis.call('HSET', account_key, bucket, account[bucket], 'room', account.room)
if bucket == 'ol' then redis.call('HINCRBY', grants_key, '0', more) end
redis.call('HDEL', account_key, 'lv', 'gr')
if levels ~= '' then redis.call('HSET', account_key, 'lv', levels) end
if #kept > 0 then redis.call('HSET', account_key, 'gr', table.concat(kept, '\n')) end
remember_operation(replay_key, replay_ttl_ms)
return {'ok', effect}
