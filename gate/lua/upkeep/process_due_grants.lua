#!lua flags=allow-oom
-- process_due_grants: brings an account's grants into its present: those whose time has come begin, those whose time is over expire, in the order
-- of their times. Every other script that finds some due asks for this first.
--
-- KEYS[1] account   KEYS[2] journal   KEYS[3] grants beside the account   KEYS[4] accounts by their next due time
-- ARGV[1] epoch     ARGV[2] its member in the accounts by due time
--
-- Returns {'ok', how many} | {'absent'} | {'stale'}.
-- Writes an entry for each, the account, its grants and the due time; nothing at all if it returns 'absent' or 'stale'.
-- @include account
-- @include journal
-- @include thresholds
-- @include grants
-- @include grant_changes
-- @include operation
-- @include start_grant
local account_key, journal_key, grants_key, due_key = unpack(KEYS)
local epoch, member = ARGV[1], ARGV[2]

local account = read_account(account_key, epoch)
if not account then return {'absent'} end
local funds = grants_of(account, grants_key, journal_key)
local due = {}
local function note(it, at, what)
  if at ~= '-' and account.now >= tonumber(at) then due[#due + 1] = {it = it, at = tonumber(at), what = what} end
end
for _, it in pairs(funds.all) do
  if it.state == 'p' then note(it, it.effective, 'begins') end
  if it.state ~= 'x' then note(it, it.expires, 'ends') end
end
table.sort(due, function(one, other)
  if one.at ~= other.at then return one.at < other.at end
  if one.what ~= other.what then return one.what < other.what end
  return tonumber(one.it.n) < tonumber(other.it.n)
end)

local last = redis.call('XINFO', 'STREAM', journal_key)
for i = 1, #last, 2 do
  if last[i] == 'last-generated-id' and last[i + 1]:match('^(%d+)-') ~= epoch then return {'stale'} end
end
write_day(account)
for _, each in ipairs(due) do
  local it = each.it
  funds:refresh(it)
  if each.what == 'begins' then
    local now = stored_account(account_key, epoch)
    local ends = ends_graces(now, it.left, it.scoped)
    local extras = '-/' .. it.n .. (it.scoped and 's' or '') .. ':' .. it.left .. '/-/-'
    journal_consequence(journal_key, account, 'S', it.left, extras, ends and 'e' or '-')
    start_grant(account, funds, it.n, it.left, ends)
  else
    -- Of nothing where holds have all of it: so that it is known to be over.
    if it.left ~= '0' or it.held ~= '0' then funds:expire({funds:part(it.n, it.left)}) end
    funds:over(it)
  end
end
funds:settle()
note_due(due_key, account, member)
return {'ok', tostring(#due)}
