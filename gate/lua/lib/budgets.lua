-- Budgets, of accounts that have some (gate/store/keys.py has the hash). LABELS are one or two "key=value", sorted, joined by a newline. What a
-- scope's budgets are stands in one field, and the sums of the first (most scopes have one) beside it, so that a request asks once.

local NONE = {}

-- What finds the "key=value" of a key among labels.
local function pattern_of(key)
  return '\n(' .. key:gsub('[%p%c]', '%%%0') .. '=[^\n]*)'
end

-- The scopes of an account's budgets, each as the patterns of one or two keys.
local scopes_of = remembering(function(keys)
  local scopes = {}
  for one, other in keys:gmatch('([^\n\t]+)\n?([^\n\t]*)') do
    scopes[#scopes + 1] = {one = pattern_of(one), other = other ~= '' and pattern_of(other) or nil}
  end
  return scopes
end)

-- What the effect line and the hash say of it before its sums.
local function before_sums(id, start, stop)
  return id .. ',' .. start .. ',' .. stop .. ','
end

-- What the budgets of a scope are: each serves as the metatable of those that have sums.
local defined = remembering(function(lines)
  local kinds = {}
  for id, start, stop, limit, hard, levels, number, window in
    lines:gmatch('([^,\n]+),([^,]+),(%S+) (%d+),(%l) (%S+) (%S+) (%S+)') do
    local kind = {
      id = id, start = start, stop = stop, behind_day = tonumber(stop) or math.huge, limit = limit, hard = hard == 'h', levels = levels, number = number, window = window,
      before = before_sums(id, start, stop), behind = ',' .. limit .. ',' .. hard,
    }
    kind.__index = kind
    kinds[#kinds + 1] = kind
  end
  return kinds
end)

-- The window that a day is in, as texts: its first day, and the first behind it, or -.
local function window_of(window, day)
  local first, behind = day, day + 1
  if window == 'lifetime' then return '0', '-' end
  if window == 'week' then
    first = day - (day + 3) % 7
    behind = first + 7
  elseif window == 'month' then
    local _
    _, first = month_of(day)
    _, behind = month_of(first + 31)
  end
  return string.format('%.0f', first), string.format('%.0f', behind)
end

local function by_id(one, other)
  return one.id < other.id
end

-- Where the sums of a scope's budget stand, of this place among them.
local function fields_of(place, labels)
  local nth = place == 1 and ' ' or place .. ' '
  return 'r' .. nth .. labels, 'h' .. nth .. labels
end

-- The budgets of these scopes, by id, as they stand in their present windows.
local function budgets_in(account, key, scopes)
  local budgets, fields, today = {}, {}, account.day + 0
  for i = 1, #scopes do
    local labels = scopes[i]
    fields[3 * i - 2], fields[3 * i - 1], fields[3 * i] = 'd ' .. labels, 'r ' .. labels, 'h ' .. labels
  end
  local values = redis.call('HMGET', key, unpack(fields))
  for i = 1, #scopes do
    local kinds = values[3 * i - 2] and defined(values[3 * i - 2]) or NONE
    for place = 1, #kinds do
      local room_field, held_field, room, held = fields[3 * i - 1], fields[3 * i], values[3 * i - 1], values[3 * i]
      if place > 1 then
        room_field, held_field = fields_of(place, scopes[i])
        room, held = unpack(redis.call('HMGET', key, room_field, held_field))
      end
      local budget = setmetatable({
        labels = scopes[i], room_field = room_field, held_field = held_field, room = room, held = held or '0',
      }, kinds[place])
      if today >= budget.behind_day then
        budget.start, budget.stop = window_of(budget.window, today)
        budget.before = before_sums(budget.id, budget.start, budget.stop)
        budget.room, budget.held, budget.rolled = budget.limit, '0', true
      end
      budgets[#budgets + 1] = budget
    end
  end
  if #budgets > 1 then table.sort(budgets, by_id) end
  return budgets
end

-- Those that a request with these labels ("\nkey=value\n...") meets; nil for an account without budgets.
local function budgets_matched(account, key, labels)
  if not account.budgeted then return nil end
  local scopes, matched = labels == '' and NONE or scopes_of(account.budgeted), {}
  for i = 1, #scopes do
    local first, other = labels:match(scopes[i].one), scopes[i].other
    if first and other then
      other = labels:match(other)
      first = other and first .. '\n' .. other
    end
    if first then matched[#matched + 1] = first end
  end
  return #matched == 0 and matched or budgets_in(account, key, matched)
end

-- Those that a hold counts in. One whose window has passed since is `past`; one that is gone, or was made anew, is left out.
local function budgets_held(account, key, pinned)
  if pinned == '-' then return {} end
  local start, number, fields, seen = {}, {}, {}, {}
  for id, first, made in pinned:gmatch('([^,;]+),([^,;]+),([^,;]+)') do
    fields[#fields + 1], start[id], number[id] = 'f ' .. id, first, made
  end
  local scopes = {}
  for _, labels in ipairs(redis.call('HMGET', key, unpack(fields))) do
    if labels and not seen[labels] then scopes[#scopes + 1], seen[labels] = labels, true end
  end
  local budgets = {}
  for _, budget in ipairs(#scopes == 0 and {} or budgets_in(account, key, scopes)) do
    if budget.number == number[budget.id] then
      budget.past = budget.start ~= start[budget.id]
      budget.counted = before_sums(budget.id, start[budget.id], budget.stop)
      budgets[#budgets + 1] = budget
    end
  end
  return budgets
end

-- The tightest of the hard ones that have not the room for `need`.
local function exceeded(budgets, need)
  local tightest
  for i = 1, #budgets do
    local budget = budgets[i]
    if budget.hard and less(budget.room, need) and not (tightest and not less(budget.room, tightest.room)) then tightest = budget end
  end
  return tightest
end

-- The amount, or as much of it as every hard budget has room for.
local function bounded(budgets, amount)
  for i = 1, #budgets do
    if budgets[i].hard and less(budgets[i].room, amount) then amount = budgets[i].room end
  end
  return amount
end

-- As the effect line has them (meter/journal/effect.py).
local function budgets_text(budgets)
  local text = ''
  for i = 1, #budgets do
    local budget = budgets[i]
    text = text .. (i > 1 and ';' or '') .. (budget.counted or budget.before) .. budget.room .. ',' .. budget.held .. budget.behind .. (budget.past and 'p' or '')
  end
  return text == '' and '-' or text
end

-- As a hold remembers them.
local function budgets_pinned(budgets)
  local texts = {}
  for i, budget in ipairs(budgets) do texts[i] = budget.id .. ',' .. budget.start .. ',' .. budget.number end
  return #texts == 0 and '-' or table.concat(texts, ';')
end

-- From here on: writes.

local function line_of(budget)
  return budget.before:sub(1, -2) .. ' ' .. budget.behind:sub(2) .. ' ' .. budget.levels .. ' ' .. budget.number .. ' ' .. budget.window
end

-- Stores the window that a budget is in now, whole.
local function begin_window(key, budget)
  local field, lines = 'd ' .. budget.labels, {}
  for line in redis.call('HGET', key, field):gmatch('[^\n]+') do
    lines[#lines + 1] = line:match('^[^,]+') == budget.id and line_of(budget) or line
  end
  redis.call('HSET', key, field, table.concat(lines, '\n'), budget.room_field, budget.limit)
  redis.call('HDEL', key, budget.held_field)
end

-- Moves sums of each (`room_field` or `held_field`) by this amount; those of windows that have passed stay as they are.
local function move_budgets(key, budgets, sums, amount)
  if amount == '0' then return end
  for i = 1, #budgets do
    local budget = budgets[i]
    if budget.rolled then
      begin_window(key, budget)
      budget.rolled = false
    end
    if not budget.past then redis.call('HINCRBY', key, budget[sums], amount) end
  end
end

-- Thresholds of the budgets' use that `amount`, just used, has crossed.
local function cross_budgets(journal_key, account, budgets, amount)
  if amount == '0' then return end
  for i = 1, #budgets do
    local budget = budgets[i]
    if budget.levels ~= '-' and not budget.past and not account.has.o then
      local before = exact_sum(account.key, budget.limit, negated(budget.room), negated(budget.held))
      local after = exact_sum(account.key, before, amount)
      for name, level in budget.levels:gmatch('([^:|]+):(%d+)') do
        if less(before, level) and not less(after, level) then
          journal_consequence(journal_key, account, 'T', '0', table.concat({'budget', budget.id, name, budget.start, level, after}, ','))
        end
      end
    end
  end
end

-- Notes, in the account's settings, which keys its budgets go by.
local function note_scopes(account, key)
  local scopes, seen = {}, {}
  for _, field in ipairs(redis.call('HKEYS', key)) do
    if field:sub(1, 2) == 'd ' then
      local scope = field:sub(3):gsub('=[^\n]*', '')
      if not seen[scope] then scopes[#scopes + 1], seen[scope] = scope, true end
    end
  end
  table.sort(scopes)
  account.budgeted = #scopes > 0 and table.concat(scopes, '\t') or nil
  set_flag(account, 'b', account.budgeted ~= nil)
end

local function find_budget(account, key, id)
  local labels = redis.call('HGET', key, 'f ' .. id)
  if not labels then return nil end
  for _, budget in ipairs(budgets_in(account, key, {labels})) do
    if budget.id == id then return budget end
  end
end

-- Stores a scope's budgets, each in its place, without the one of this id, and with `another`, if any.
local function put_scope(account, key, labels, without, another)
  local budgets, lines = {another}, {}
  for _, budget in ipairs(budgets_in(account, key, {labels})) do
    redis.call('HDEL', key, budget.room_field, budget.held_field)
    if budget.id ~= without then budgets[#budgets + 1] = budget end
  end
  table.sort(budgets, by_id)
  for place, budget in ipairs(budgets) do
    local room_field, held_field = fields_of(place, labels)
    redis.call('HSET', key, room_field, budget.room)
    if budget.held ~= '0' then redis.call('HSET', key, held_field, budget.held) end
    lines[place] = line_of(budget)
  end
  if #lines == 0 then
    redis.call('HDEL', key, 'd ' .. labels)
  else
    redis.call('HSET', key, 'd ' .. labels, table.concat(lines, '\n'))
  end
end

local function put_budget(account, key, budget)
  budget.before = before_sums(budget.id, budget.start, budget.stop)
  budget.behind = ',' .. budget.limit .. ',' .. (budget.hard and 'h' or 's')
  redis.call('HSET', key, 'f ' .. budget.id, budget.labels)
  put_scope(account, key, budget.labels, budget.id, budget)
end

local function remove_budget(account, key, id, labels)
  redis.call('HDEL', key, 'f ' .. id)
  put_scope(account, key, labels, id)
end
