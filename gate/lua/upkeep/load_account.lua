#!lua flags=allow-oom
-- load_account: puts an account back that is missing here, as the ledger knows it, with its grants, budgets and open holds. The caller has
-- made sure that the ledger holds everything journaled up to a moment at which the account was missing.
--
-- KEYS[1] account   KEYS[2] journal   KEYS[3] grants beside the account   KEYS[4] its budgets   KEYS[5] holds by expiry
-- KEYS[6] accounts by their next due time   KEYS[7..] the holds
-- ARGV[1] epoch     ARGV[2] its settings: the field `s`, with overage as what is being burned and no due time (gate/store/keys.py)
-- ARGV[3..8] gl gh ol oh used room   ARGV[9] levels   ARGV[10] graces   ARGV[11] its member in the accounts by due time
-- ARGV[12] how many grants; for each: number, left, held, what it is ("state pays type priority expires effective scope")
-- then how many budgets; for each: id, hard, window, limit, start, number, levels, labels, room, held
-- then for each hold: its id, amount (nanos), day, expiry (ms), pins, budgets, member in the holds by expiry
--
-- Returns {'ok'} | {'present'} (somebody else was first; nothing written) | {'stale'} (another epoch has begun).
-- @include account
-- @include journal
-- @include hold
-- @include thresholds
-- @include grants
-- @include grant_changes
-- @include budgets
-- @include operation
local account_key, journal_key, grants_key, budgets_key, expiries_key, due_key = unpack(KEYS)
local epoch, settings = ARGV[1], ARGV[2]
local at = 12

local function next_arguments(count)
  at = at + count
  return unpack(ARGV, at - count, at - 1)
end

if stored_account(account_key, epoch) then return {'present'} end
local last_id = redis.call('XINFO', 'STREAM', journal_key)
for i = 1, #last_id, 2 do
  if last_id[i] == 'last-generated-id' and last_id[i + 1]:match('^(%d+)-') ~= epoch then return {'stale'} end
end

redis.call('DEL', account_key, grants_key, budgets_key)
redis.call('HSET', account_key, 's', settings, 'gl', ARGV[3], 'gh', ARGV[4], 'ol', ARGV[5], 'oh', ARGV[6], 'used', ARGV[7], 'room', ARGV[8])
if ARGV[9] ~= '' then redis.call('HSET', account_key, 'lv', ARGV[9]) end
if ARGV[10] ~= '' then redis.call('HSET', account_key, 'gr', ARGV[10]) end
for _ = 1, tonumber(next_arguments(1)) do
  local n, left, held, meta = next_arguments(4)
  redis.call('HSET', grants_key, n .. ' m', meta)
  if left ~= '0' then redis.call('HSET', grants_key, n, left) end
  if held ~= '0' then redis.call('HSET', grants_key, n .. ' h', held) end
end
local account = stored_account(account_key, epoch)
for _ = 1, tonumber(next_arguments(1)) do
  local id, hard, window, limit, start, number, levels, labels, room, held = next_arguments(10)
  local _, stop = window_of(window, tonumber(start))
  put_budget(account, budgets_key, {
    id = id, hard = hard == '1', window = window, limit = limit, start = start, stop = stop, number = number, levels = levels,
    labels = labels, room = room, held = held,
  })
end
note_scopes(account, budgets_key)
write_settings(account)
grants_of(account, grants_key, journal_key):settle()
note_due(due_key, account, ARGV[11])
for i = 7, #KEYS do
  local id, amount, day, expires, pins, budgets_of_hold, member = next_arguments(7)
  local hold = {id = id, amount = amount, day = day, expires = expires, pins = pins, budgets = budgets_of_hold}
  redis.call('SET', KEYS[i], hold_record(epoch, 'o', hold))
  redis.call('ZADD', expiries_key, reap_at(hold, account), member)
end
return {'ok'}
