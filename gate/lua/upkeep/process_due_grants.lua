-- process_due_grants: brings an account's grants into its present: those whose time has come begin,
-- those whose time is over expire, in the order of their times. Every other script that finds some
-- due asks for this first.
--
-- KEYS[1] account
-- KEYS[2] journal
-- KEYS[3] grants: those beside the account
-- KEYS[4] accounts_by_due
--
-- ARGV[1] epoch
-- ARGV[2] due_member: the account's member in accounts_by_due
--
-- Returns {'ok', how many} | {'absent'} | {'stale'}.
-- Writes an entry for each, the account, its grants and the due time; nothing at all if it returns
-- 'absent' or 'stale'.

local BEGINS, ENDS = 'begins', 'ends' -- in this order at the same time

local function by_time(one, other)
  if one.at_ms ~= other.at_ms then return one.at_ms < other.at_ms end
  if one.change ~= other.change then return one.change < other.change end
  return by_number(one.grant, other.grant)
end

-- Returns the changes of grants that are due, in order.
local function find_due(account, grants)
  local due = {}
  local function note(grant, at_ms, change)
    if at_ms ~= ABSENT and account.now_ms >= tonumber(at_ms) then
      due[#due + 1] = {grant = grant, at_ms = tonumber(at_ms), change = change}
    end
  end
  for _, grant in pairs(grants.all) do
    if grant.state == SCHEDULED then note(grant, grant.effective_ms, BEGINS) end
    if grant.state ~= OVER then note(grant, grant.expires_ms, ENDS) end
  end
  table.sort(due, by_time)
  return due
end

local function begin(account, grants, grant)
  local now = stored_account(account.key, account.epoch)
  local is_end_of_graces = ends_graces(now, grant.left, grant.is_scoped)
  local part = encode_part(grant.number, grant.left, grant.is_scoped)
  tell_consequence(account, 'grant_starts', {
    amount = grant.left,
    allocation = encode_allocation(ABSENT, part, ABSENT, ABSENT),
    ends_graces = is_end_of_graces,
  })
  grants:start(grant.number, grant.left, is_end_of_graces)
end

-- Expires what is left, and if that is nothing because holds have all of it, tells of it all the
-- same: so that the grant is known to be over.
local function finish(grants, grant)
  if grant.left ~= '0' or grant.held ~= '0' then
    grants:expire({grants:part(grant.number, grant.left)})
  end
  grants:finish(grant)
end

local function process_due_grants(keys, arguments)
  local account_key, journal_key, grants_key, accounts_by_due_key = unpack(keys)
  local epoch, due_member = unpack(arguments)

  local account = read_account(account_key, epoch, journal_key, grants_key)
  if not account then return {'absent'} end
  local grants = read_grants(account)
  local due = find_due(account, grants)
  if journal_end(journal_key) ~= epoch then return {'stale'} end

  write_day(account)
  for _, each in ipairs(due) do
    grants:refresh(each.grant)
    if each.change == BEGINS then
      begin(account, grants, each.grant)
    else
      finish(grants, each.grant)
    end
  end
  grants:settle()
  note_due(accounts_by_due_key, account, due_member)
  return {'ok', tostring(#due)}
end

register('process_due_grants', process_due_grants, {'allow-oom'})
