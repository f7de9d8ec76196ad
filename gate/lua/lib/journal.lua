-- The journal and what calls and operations have in common: the effect line, the entry, the replay
-- record, and the order of operations.
--
-- A deed is what a script is about to do: amount, hold, allocation (text), and the facts that the
-- flags of the effect line name.

local NO_HOLD = {pins = ABSENT}
local NOTHING_MOVED = '-/-/-/-'

-- The first letter of the effect line (meter/journal/kinds.py).
local KIND = {
  authorize = 'A',
  debit = 'D',
  extend = 'E',
  release = 'R',
  expire = 'X',
  create = 'C',
  update = 'U',
  advance_clock = 'K',
  grant = 'G',
  void = 'Z',
  grant_starts = 'S',
  grant_expires = 'V',
  grant_used_up = 'Q',
  debt_paid = 'P',
  threshold = 'T',
  look = 'B',
}

-- In a suspended account nothing is available, whatever the sums say.
local function with_suspension(account, flags)
  if account.status == 'active' then return flags end
  return flags .. 's'
end

local function encode_deed_flags(deed)
  local letters = ''
  if deed.is_late then letters = 'l' end
  if deed.is_incurred then letters = letters .. 'i' end
  if deed.management_off then letters = letters .. 'o' end
  if deed.uses_grace then letters = letters .. 'g' end
  if deed.begins_grace then letters = letters .. 'b' end
  if deed.is_scheduled then letters = letters .. 'p' end
  if deed.ends_graces then letters = letters .. 'e' end
  return letters
end

-- Credits of one grant.
local function encode_part(grant_number, amount, is_scoped)
  return grant_number .. (is_scoped and 's:' or ':') .. amount
end

-- Credits of the current grant.
local function encode_current_part(account, amount)
  if amount == '0' then return ABSENT end
  return account.current_grant .. ':' .. amount
end

-- What is taken, returned and lapsed (credits by grant), budgets after that, and budgets that only
-- get back what a late debit's hold had.
local function encode_allocation(taken, returned, lapsed, budgets, freed)
  local text = taken .. '/' .. returned .. '/' .. lapsed .. '/' .. budgets
  if freed then text = text .. '/' .. freed end
  return text
end

-- The deed and the account as the deed finds it (read by meter/journal/effect_codec.py): kind
-- at_ms day amount hold_amount hold_day hold_expires_ms flags hold_id current_grant allocation, the
-- sums, total and the packed settings.
local function encode_effect(kind, account, deed, flags)
  local hold = deed.hold
  local hold_amount, hold_day, hold_expires_ms, hold_id = '0', ABSENT, ABSENT, ABSENT
  if hold and hold.id then
    hold_amount, hold_day, hold_expires_ms, hold_id =
      hold.amount, hold.day, hold.expires_ms, hold.id
  end
  if flags == '' then flags = ABSENT end
  return KIND[kind] .. ' ' .. account.at_ms .. ' ' .. account.day .. ' ' .. deed.amount .. ' '
    .. hold_amount .. ' ' .. hold_day .. ' ' .. hold_expires_ms .. ' ' .. flags .. ' ' .. hold_id
    .. ' ' .. account.current_grant .. ' ' .. (deed.allocation or ABSENT) .. ' '
    .. account.left_of_current .. ' ' .. account.held_of_current .. ' ' .. account.left_of_others
    .. ' ' .. account.held_of_others .. ' ' .. account.used .. ' ' .. account.day_remaining .. ' '
    .. account.total .. ' ' .. account.packed
end

-- Writes a look at the account: an effect that does nothing.
local function encode_look(account, deed)
  deed.amount = '0'
  local flags = with_suspension(account, encode_deed_flags(deed))
  return encode_effect('look', account, deed, flags)
end

-- The fingerprint, and as much of the effect as the reply to a repeat needs
-- (meter/journal/replay_record.py reads that).
local function encode_replay_record(fingerprint, kind, account, deed, flags)
  local held_of_current, left_of_others = account.held_of_current, account.left_of_others
  local held_of_others, day_remaining = account.held_of_others, account.day_remaining
  local total, hold, hold_text = '', deed.hold, ''
  if held_of_current == '0' and held_of_others == '0' then day_remaining = '' end
  if held_of_current == '0' then held_of_current = '' end
  if left_of_others == '0' then left_of_others = '' end
  if held_of_others == '0' then held_of_others = '' end
  if account.has.scoped_grants then total = account.total end
  if hold and hold.id then
    hold_text = ' ' .. account.day .. ',' .. hold.amount .. ',' .. hold.day .. ','
      .. hold.expires_ms .. ',' .. hold.id
  end
  return fingerprint .. ' ' .. KIND[kind] .. deed.amount .. ' ' .. flags .. ' '
    .. account.current_grant .. ' ' .. (deed.allocation or '') .. ' ' .. account.left_of_current
    .. ' ' .. held_of_current .. ' ' .. left_of_others .. ' ' .. held_of_others .. ' '
    .. account.used .. ' ' .. day_remaining .. ' ' .. total .. ' ' .. account.packed .. hold_text
end

-- Says whether XADD failed because a newer epoch has begun.
local function is_of_older_epoch(failure)
  -- In fakeredis the error is no string of Lua's.
  return failure.err and tostring(failure.err):find('equal or smaller', 1, true)
end

-- Appends the first write of a script that moves money. The id is epoch-sequence; the store gives
-- the sequence. If a newer epoch has begun, or the journal is gone, the entry fails and nothing has
-- been written: so a shard is fenced. Returns nil, or the reply that the script must return. The id
-- stands in the account's `entry_id` then.
local function append(account, effect, method, request, pricing)
  local id = redis.pcall(
    'XADD', account.journal_key, 'NOMKSTREAM', account.epoch .. '-*',
    'e', effect, 'm', method, 'q', request, 'p', pricing)
  if not id then return {'stale'} end
  if type(id) ~= 'table' then
    account.entry_id = id
    return nil
  end
  if is_of_older_epoch(id) then return {'stale'} end
  return id
end

-- Tells the journal of what a call does. Returns the effect line and the replay record, or nil and
-- the reply to return.
local function tell_call(account, fingerprint, kind, deed, method, request, pricing)
  local flags = with_suspension(account, encode_deed_flags(deed))
  local effect = encode_effect(kind, account, deed, flags)
  local failure = append(account, effect, method, request, pricing)
  if failure then return nil, failure end
  return effect, encode_replay_record(fingerprint, kind, account, deed, flags)
end

-- Tells the journal of what an operation does. Returns the effect line, or nil and the reply to
-- return.
local function tell_operation(account, kind, deed, method, operation)
  local flags = encode_deed_flags(deed) .. (deed.uncounts or '')
  local effect = encode_effect(kind, account, deed, flags)
  local failure = append(account, effect, method, operation, '')
  if failure then return nil, failure end
  return effect
end

-- Tells the journal of an operation that changes settings: the effect's sums are those afterwards.
local function tell_settings(account, kind, method, operation)
  local deed = {amount = '0', management_off = account.has.management_off}
  return tell_operation(account, kind, deed, method, operation)
end

-- Tells the journal of something that another entry brought about, by the sums as they are now.
local function tell_consequence(account, kind, deed)
  local now = stored_account(account.key, account.epoch)
  now.at_ms = account.at_ms
  local effect = encode_effect(kind, now, deed, encode_deed_flags(deed))
  local account_id = account.key:match(':a:(.*)$')
  redis.call(
    'XADD', account.journal_key, account.epoch .. '-*',
    'e', effect, 'm', 'consequence', 'q', account_id, 'p', '')
end

-- Returns the epoch of the journal's newest entry, and the entry's id.
local function journal_end(journal_key)
  local info = redis.call('XINFO', 'STREAM', journal_key)
  for i = 1, #info, 2 do
    if info[i] == 'last-generated-id' then return info[i + 1]:match('^(%d+)-'), info[i + 1] end
  end
end

-- Returns the account that a request is about, or nil and the reply to return: the request is known
-- already, or the account is not here, or its grants are due.
local function begin_call(
  account_key, replay_key, journal_key, grants_key, budgets_key, epoch, fingerprint)
  local record = redis.call('GET', replay_key)
  if record then
    local known_fingerprint, effect = match(record, '^(%S+) ?(.*)$')
    if known_fingerprint ~= fingerprint then return nil, {'refused', 'REQUEST_ID_REUSED'} end
    return nil, {'replayed', effect}
  end
  local account = read_account(account_key, epoch, journal_key, grants_key, budgets_key)
  if not account then return nil, {'absent'} end
  if account.due_ms ~= ABSENT and is_due(account) then return nil, {'due'} end
  return account
end

local function remember_call(replay_key, record, ttl_ms)
  redis.call('SET', replay_key, record, 'PX', ttl_ms)
end

-- Returns the account that an operation is about, with the operation's number, or nil and the reply
-- to return. Operations are durable in the ledger before they come here; each account numbers its
-- own, densely. So any process may apply one again at any later time, and it takes effect once.
local function begin_operation(
  account_key, journal_key, grants_key, budgets_key, epoch, operation_number)
  local account = read_account(account_key, epoch, journal_key, grants_key, budgets_key)
  if not account then return nil, {'absent'} end
  local applied = tonumber(account.operation_number)
  if tonumber(operation_number) <= applied then return nil, {'replayed'} end
  if tonumber(operation_number) > applied + 1 then
    return nil, {'behind', account.operation_number}
  end
  if is_due(account) then return nil, {'due'} end
  account.operation_number = operation_number
  return account
end

-- Uses up the operation's request id for calls too; the ledger knows its content. The reply of a
-- call that stands there stays.
local function remember_operation(replay_key, ttl_ms)
  redis.call('SET', replay_key, 'operation', 'NX', 'PX', ttl_ms)
end

-- Returns when process_due_grants is to look at the account, should nobody call before. By a test
-- clock the time never comes by itself.
local function due_score(account)
  if account.due_ms == ABSENT then return ABSENT end
  return account.test_clock_ms == ABSENT and account.due_ms or 'inf'
end

local function note_due(accounts_by_due_key, account, due_member)
  local score = due_score(account)
  if score == ABSENT then
    redis.call('ZREM', accounts_by_due_key, due_member)
  else
    redis.call('ZADD', accounts_by_due_key, score, due_member)
  end
end
