-- Budgets, of accounts that have some: which ones a request counts in, and what they have
-- remaining. A scope is one or two labels, sorted, a line each: "key=value"; or "key" alone for a
-- budget that is one of its own for each value of the key.
--
-- The hash of the account's budgets has for each scope the fields "d SCOPE" (the definitions, by
-- id, a line each), "r SCOPE" and "h SCOPE" (the first budget's remaining and held amounts; of the
-- second "r2 SCOPE" and so on), and for each budget "f ID" (the scope). So a request asks once.
--
-- A budget for each value has counters in a hash of its own, in place of amounts: "r:VALUE" (the
-- amount that is used and held, negative) and "h:VALUE" (the held amount); ":VALUE:VALUE" for two
-- keys. They are those of the window in the definition, and go with it. The script alone knows
-- which of these hashes a request needs; their keys begin with that of the budgets.

local BUDGET = layout('id,start_hour,end_hour limit,hardness thresholds number window')
local BUDGET_THRESHOLD = layout('id:nanos')
-- In a hold: the number is that of the operation that made the budget. The name is the budget's id,
-- with the value behind it.
local COUNTED_IN = layout('name,start_hour,number')
-- In the effect line; a p follows if the hold's window has passed. The parts before and behind the
-- amounts stay the same as long as the window lasts.
local EFFECT_HEAD = layout('name,start_hour,end_hour')
local EFFECT_TAIL = layout('limit,hardness')
local HARD, SOFT = 'h', 's'
local NONE = {}
-- Bounds the counters of a budget (meter/journal/counter_names.py has it too). Values that come
-- when there are so many count as one.
local MOST_VALUES = 10000
local OTHER_VALUES = ':*'

local function definitions_field(scope)
  return 'd ' .. scope
end

local function scope_field(budget_id)
  return 'f ' .. budget_id
end

local function counters_key(account, budget_id)
  return account.budgets_key .. ' ' .. budget_id
end

-- Returns the fields of the remaining and the held amount of a scope's budget at this place.
local function amount_fields(place, scope)
  local nth = place == 1 and ' ' or place .. ' '
  return 'r' .. nth .. scope, 'h' .. nth .. scope
end

-- Writes a value without what has a meaning in lines.
local function escaped(value)
  return (value:gsub('[%s%%,;:/|*]', function(character)
    return format('%%%02X', byte(character))
  end))
end

local function unescaped(text)
  return (text:gsub('%%(%x%x)', function(digits) return string.char(tonumber(digits, 16)) end))
end

-- Returns the pattern that finds the "key=value" of a key among labels.
local function pattern_of(key)
  return '\n(' .. key:gsub('[%p%c]', '%%%0') .. '=[^\n]*)'
end

-- Reads the keys of a scope, where "key=" is one for each value.
local function read_keys(first, second)
  local keys = {names = {}, is_each = {}}
  for i, noted in ipairs({first, second}) do
    local name = noted:gsub('=$', '')
    keys.names[i] = name
    keys.is_each[i] = noted ~= name
    keys.has_each = keys.has_each or noted ~= name
  end
  keys.first = pattern_of(keys.names[1])
  keys.second = keys.names[2] and pattern_of(keys.names[2])
  return keys
end

-- Reads the scopes of an account's budgets, each as the patterns of one or two keys.
local scopes_of = keep_results(function(text)
  local scopes = {}
  for first, second in text:gmatch('([^\n\t]+)\n?([^\n\t]*)') do
    scopes[#scopes + 1] = read_keys(first, second ~= '' and second or nil)
  end
  return scopes
end)

-- Returns the scope of the budgets for each value that labels of these keys meet, and the value.
local function each_scope(keys, labels)
  local scope, value = {}, ''
  for label in labels:gmatch('[^\n]+') do
    local i = #scope + 1
    local name = keys.names[i]
    scope[i] = keys.is_each[i] and name or label
    if keys.is_each[i] then value = value .. ':' .. escaped(sub(label, #name + 2)) end
  end
  return table.concat(scope, '\n'), value
end

-- Returns the labels that a budget counts, with the value that its counter is of.
local function labels_of(budget)
  local next_value = budget.name:gmatch(':([^:]*)')
  return (budget.scope:gsub('[^\n]+', function(label)
    if label:find('=', 1, true) then return label end
    return label .. '=' .. unescaped(next_value() or '*')
  end))
end

-- Derives what the effect line says of a budget before and behind the amounts.
local function prepare_effect(budget)
  budget.effect_head = encode(EFFECT_HEAD, budget) .. ','
  budget.effect_tail = ',' .. encode(EFFECT_TAIL, budget)
end

-- Reads the definitions of a scope. Each serves as the metatable of budgets with amounts.
local decode_definitions = keep_results(function(lines)
  local definitions = decode_list(BUDGET, '\n', lines)
  for _, definition in ipairs(definitions) do
    definition.name = definition.id
    definition.end_hour_number = tonumber(definition.end_hour) or math.huge
    definition.is_hard = definition.hardness == HARD
    prepare_effect(definition)
    definition.__index = definition
  end
  return definitions
end)

local function by_id(one, other)
  return one.id < other.id
end

-- Moves a budget into the window of this hour, in memory.
local function roll_window(budget, hour)
  budget.start_hour, budget.end_hour = window_of(budget.window, hour)
  budget.remaining = budget.limit
  budget.held = '0'
  budget.has_rolled = true
  prepare_effect(budget)
end

-- Returns the fields of each scope's definitions and first amounts.
local function fields_of(scopes)
  local first = scopes[1]
  local fields = {'d ' .. first, 'r ' .. first, 'h ' .. first}
  for i = 2, #scopes do
    fields[3 * i - 2] = definitions_field(scopes[i])
    fields[3 * i - 1], fields[3 * i] = amount_fields(1, scopes[i])
  end
  return fields
end

-- Reads the budgets of these scopes (one or more), by id, as they stand in their present windows:
-- those for each value without a counter.
local function read_budgets(account, scopes)
  local budgets, fields, hour = {}, fields_of(scopes), hour_of(account)
  local values = redis.call('HMGET', account.budgets_key, unpack(fields))
  for i = 1, #scopes do
    local definitions = values[3 * i - 2] and decode_definitions(values[3 * i - 2]) or NONE
    for place = 1, #definitions do
      local definition, remaining_field, held_field =
        definitions[place], fields[3 * i - 1], fields[3 * i]
      local remaining, held = values[3 * i - 1], values[3 * i]
      if place > 1 then
        remaining_field, held_field = amount_fields(place, scopes[i])
        remaining, held = unpack(
          redis.call('HMGET', account.budgets_key, remaining_field, held_field))
      end
      local budget = setmetatable({
        scope = scopes[i],
        amounts_key = account.budgets_key,
        remaining_field = remaining_field,
        held_field = held_field,
        remaining = remaining or definition.limit,
        held = held or '0',
        has_rolled = false,
        has_passed = false,
      }, definition)
      if hour >= definition.end_hour_number then roll_window(budget, hour) end
      budgets[#budgets + 1] = budget
    end
  end
  if #budgets > 1 then table.sort(budgets, by_id) end
  return budgets
end

-- Reads the counter of a value into a budget.
local function read_counter(account, budget, value)
  budget.name = budget.id .. value
  budget.amounts_key = counters_key(account, budget.id)
  budget.remaining_field, budget.held_field = 'r' .. value, 'h' .. value
  budget.is_new = true
  if not budget.has_rolled then
    local taken, held = unpack(
      redis.call('HMGET', budget.amounts_key, budget.remaining_field, budget.held_field))
    budget.is_new = not taken
    budget.remaining = sum_of(account.key, budget.limit, taken or '0')
    budget.held = held or '0'
  end
  prepare_effect(budget)
end

-- Reads the counter that usage of a value counts in.
local function meet_counter(account, budget, value)
  read_counter(account, budget, value)
  if budget.is_new and not budget.has_rolled
    and redis.call('HLEN', budget.amounts_key) >= 2 * MOST_VALUES then
    read_counter(account, budget, OTHER_VALUES)
  end
end

-- Returns the scopes that labels meet, or nil, and the values of those for each value, by scope, or
-- nil.
local function scopes_met(account, labels)
  local all_keys, scopes, values = scopes_of(account.budget_scopes), nil, nil
  for i = 1, #all_keys do
    local keys = all_keys[i]
    local scope = match(labels, keys.first)
    if scope and keys.second then
      local second = match(labels, keys.second)
      scope = second and scope .. '\n' .. second
    end
    if scope and keys.has_each then
      local value
      scope, value = each_scope(keys, scope)
      values = values or {}
      values[scope] = value
    end
    if scope and scopes then
      scopes[#scopes + 1] = scope
    elseif scope then
      scopes = {scope}
    end
  end
  return scopes, values
end

-- Returns the budgets that a request with these labels ("\nkey=value\n...") counts in; nil for an
-- account without budgets.
local function match_budgets(account, labels)
  if not account.budget_scopes then return nil end
  if labels == '' then return {} end
  local scopes, values = scopes_met(account, labels)
  if not scopes then return {} end
  local budgets = read_budgets(account, scopes)
  if not values then return budgets end
  for _, budget in ipairs(budgets) do
    local value = values[budget.scope]
    if value then meet_counter(account, budget, value) end
  end
  return budgets
end

-- Returns the scopes of budgets, each once.
local function scopes_of_budgets(account, budget_ids)
  local fields, scopes, seen = {}, {}, {}
  for i, id in ipairs(budget_ids) do fields[i] = scope_field(id) end
  for _, scope in ipairs(redis.call('HMGET', account.budgets_key, unpack(fields))) do
    if scope and not seen[scope] then
      scopes[#scopes + 1] = scope
      seen[scope] = true
    end
  end
  return scopes
end

-- Reads what a hold counts in, by the budget's id, and the ids.
local function decode_counted_in(text)
  local counted, budget_ids = {}, {}
  for i, each in ipairs(decode_list(COUNTED_IN, ';', text)) do
    local id, value = match(each.name, '^([^:]+)(.*)$')
    each.value = value
    counted[id] = each
    budget_ids[i] = id
  end
  return counted, budget_ids
end

-- Returns the budgets of this text of COUNTED_IN. One whose window has passed since is marked so;
-- one that is gone, or was made anew, is left out.
local function budgets_counted_in(account, text)
  local counted, budget_ids = decode_counted_in(text)
  local budgets, scopes = {}, scopes_of_budgets(account, budget_ids)
  if #scopes == 0 then return {} end
  for _, budget in ipairs(read_budgets(account, scopes)) do
    local in_hold = counted[budget.id]
    if in_hold and budget.number == in_hold.number then
      if in_hold.value ~= '' then read_counter(account, budget, in_hold.value) end
      budget.has_passed = budget.start_hour ~= in_hold.start_hour
      in_hold.end_hour = budget.end_hour
      budget.effect_head = encode(EFFECT_HEAD, in_hold) .. ','
      budgets[#budgets + 1] = budget
    end
  end
  return budgets
end

-- Returns the budgets that a hold counts in.
local function budgets_of_hold(account, hold)
  if hold.budgets == ABSENT then return {} end
  return budgets_counted_in(account, hold.budgets)
end

-- Returns the tightest of the hard budgets that have less than `need` remaining, or nil.
local function exceeded_budget(budgets, need)
  local tightest
  for i = 1, #budgets do
    local budget = budgets[i]
    if budget.is_hard and less(budget.remaining, need) then
      if not tightest or less(budget.remaining, tightest.remaining) then tightest = budget end
    end
  end
  return tightest
end

-- Returns the amount, or as much of it as every hard budget has remaining.
local function bounded_by_budgets(budgets, amount)
  for i = 1, #budgets do
    if budgets[i].is_hard then amount = smaller(amount, budgets[i].remaining) end
  end
  return amount
end

-- Writes budgets for the effect line.
local function encode_budgets(budgets)
  local text = ''
  for i = 1, #budgets do
    local budget = budgets[i]
    if i > 1 then text = text .. ';' end
    text = text .. budget.effect_head .. budget.remaining .. ',' .. budget.held
      .. budget.effect_tail
    if budget.has_passed then text = text .. 'p' end
  end
  return text == '' and ABSENT or text
end

-- Writes budgets for the hold that counts in them.
local function encode_counted_in(budgets)
  if #budgets == 0 then return ABSENT end
  return encode_list(COUNTED_IN, ';', budgets)
end
