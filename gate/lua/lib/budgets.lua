-- Budgets, of accounts that have some. A scope is one or two "key=value" labels, sorted, a line
-- each.
--
-- The hash of the account's budgets has for each scope the fields "d SCOPE" (the definitions, by
-- id, a line each), "r SCOPE" and "h SCOPE" (the first budget's remaining and held amounts; of the
-- second "r2 SCOPE" and so on), and for each budget "f ID" (the scope). So a request asks once.

local BUDGET = layout('id,start_day,end_day limit,hardness thresholds number window')
local BUDGET_THRESHOLD = layout('id:nanos')
-- In a hold: the number is that of the operation that made the budget.
local COUNTED_IN = layout('id,start_day,number')
-- In the effect line; a p follows if the hold's window has passed. The parts before and behind the
-- amounts stay the same as long as the window lasts.
local EFFECT_HEAD = layout('id,start_day,end_day')
local EFFECT_TAIL = layout('limit,hardness')
local HARD, SOFT = 'h', 's'
local NONE = {}

local function definitions_field(scope)
  return 'd ' .. scope
end

local function scope_field(budget_id)
  return 'f ' .. budget_id
end

-- Returns the fields of the remaining and the held amount of a scope's budget at this place.
local function amount_fields(place, scope)
  local nth = place == 1 and ' ' or place .. ' '
  return 'r' .. nth .. scope, 'h' .. nth .. scope
end

-- Returns the pattern that finds the "key=value" of a key among labels.
local function pattern_of(key)
  return '\n(' .. key:gsub('[%p%c]', '%%%0') .. '=[^\n]*)'
end

-- Reads the scopes of an account's budgets, each as the patterns of one or two keys.
local scopes_of = keep_results(function(text)
  local scopes = {}
  for first_key, second_key in text:gmatch('([^\n\t]+)\n?([^\n\t]*)') do
    local second = second_key ~= '' and pattern_of(second_key) or nil
    scopes[#scopes + 1] = {first = pattern_of(first_key), second = second}
  end
  return scopes
end)

-- Derives what the effect line says of a budget before and behind the amounts.
local function prepare_effect(budget)
  budget.effect_head = encode(EFFECT_HEAD, budget) .. ','
  budget.effect_tail = ',' .. encode(EFFECT_TAIL, budget)
end

-- Reads the definitions of a scope. Each serves as the metatable of budgets with amounts.
local decode_definitions = keep_results(function(lines)
  local definitions = decode_list(BUDGET, '\n', lines)
  for _, definition in ipairs(definitions) do
    definition.end_day_number = tonumber(definition.end_day) or math.huge
    definition.is_hard = definition.hardness == HARD
    prepare_effect(definition)
    definition.__index = definition
  end
  return definitions
end)

local function by_id(one, other)
  return one.id < other.id
end

-- Moves a budget into the window of today, in memory.
local function roll_window(budget, today)
  budget.start_day, budget.end_day = window_of(budget.window, today)
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

-- Reads the budgets of these scopes (one or more), by id, as they stand in their present windows.
local function read_budgets(account, scopes)
  local budgets, fields, today = {}, fields_of(scopes), account.day + 0
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
        remaining_field = remaining_field,
        held_field = held_field,
        remaining = remaining,
        held = held or '0',
        has_rolled = false,
        has_passed = false,
      }, definition)
      if today >= definition.end_day_number then roll_window(budget, today) end
      budgets[#budgets + 1] = budget
    end
  end
  if #budgets > 1 then table.sort(budgets, by_id) end
  return budgets
end

-- Returns the budgets that a request with these labels ("\nkey=value\n...") counts in; nil for an
-- account without budgets.
local function match_budgets(account, labels)
  if not account.budget_scopes then return nil end
  if labels == '' then return {} end
  local all_keys, scopes = scopes_of(account.budget_scopes), nil
  for i = 1, #all_keys do
    local keys = all_keys[i]
    local scope = match(labels, keys.first)
    if scope and keys.second then
      local second = match(labels, keys.second)
      scope = second and scope .. '\n' .. second
    end
    if scope and scopes then
      scopes[#scopes + 1] = scope
    elseif scope then
      scopes = {scope}
    end
  end
  if not scopes then return {} end
  return read_budgets(account, scopes)
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

-- Returns the budgets that a hold counts in. One whose window has passed since is marked so; one
-- that is gone, or was made anew, is left out.
local function budgets_of_hold(account, hold)
  if hold.budgets == ABSENT then return {} end
  local counted, budget_ids, budgets = {}, {}, {}
  for i, each in ipairs(decode_list(COUNTED_IN, ';', hold.budgets)) do
    counted[each.id] = each
    budget_ids[i] = each.id
  end
  local scopes = scopes_of_budgets(account, budget_ids)
  if #scopes == 0 then return {} end
  for _, budget in ipairs(read_budgets(account, scopes)) do
    local in_hold = counted[budget.id]
    if in_hold and budget.number == in_hold.number then
      budget.has_passed = budget.start_day ~= in_hold.start_day
      in_hold.end_day = budget.end_day
      budget.effect_head = encode(EFFECT_HEAD, in_hold) .. ','
      budgets[#budgets + 1] = budget
    end
  end
  return budgets
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

-- From here on: writes.

local function write_definitions(account, scope, definitions)
  redis.call('HSET', account.budgets_key, definitions_field(scope), table.concat(definitions, '\n'))
end

-- Stores the window that a budget is in now, whole.
local function write_window(account, budget)
  local key, scope, definitions = account.budgets_key, budget.scope, {}
  local lines = redis.call('HGET', key, definitions_field(scope))
  for i, definition in ipairs(decode_definitions(lines)) do
    if definition.id == budget.id then definition = budget end
    definitions[i] = encode(BUDGET, definition)
  end
  write_definitions(account, scope, definitions)
  redis.call('HSET', key, budget.remaining_field, budget.limit)
  redis.call('HDEL', key, budget.held_field)
end

-- Adds an amount (perhaps negative) to what each budget has remaining (`field` is remaining_field)
-- or held (held_field); windows that have passed stay as they are.
local function move_budgets(account, budgets, field, amount)
  if amount == '0' then return end
  for i = 1, #budgets do
    local budget = budgets[i]
    if budget.has_rolled then
      write_window(account, budget)
      budget.has_rolled = false
    end
    if not budget.has_passed then
      redis.call('HINCRBY', account.budgets_key, budget[field], amount)
    end
  end
end

-- Tells the thresholds of a budget's use that `amount`, just used, has crossed.
local function cross_budget(account, budget, amount)
  local before = exact_sum(
    account.key, budget.limit, negated(budget.remaining), negated(budget.held))
  local after = exact_sum(account.key, before, amount)
  for _, threshold in ipairs(decode_list(BUDGET_THRESHOLD, '|', budget.thresholds)) do
    if rises_to(threshold, before, after) then
      tell_crossing(account, 'budget', budget.id, threshold, budget.start_day, after)
    end
  end
end

local function cross_budgets(account, budgets, amount)
  if amount == '0' or account.has.management_off then return end
  for i = 1, #budgets do
    local budget = budgets[i]
    if budget.thresholds ~= ABSENT and not budget.has_passed then
      cross_budget(account, budget, amount)
    end
  end
end

-- Notes, in the account's settings, the keys of the budgets' scopes.
local function note_scopes(account)
  local scopes, seen = {}, {}
  for _, field in ipairs(redis.call('HKEYS', account.budgets_key)) do
    local scope = field:match('^d (.*)$')
    local keys = scope and scope:gsub('=[^\n]*', '')
    if keys and not seen[keys] then
      scopes[#scopes + 1] = keys
      seen[keys] = true
    end
  end
  table.sort(scopes)
  account.budget_scopes = #scopes > 0 and table.concat(scopes, '\t') or nil
  set_flag(account, 'budgets', account.budget_scopes ~= nil)
end

local function find_budget(account, budget_id)
  local scope = redis.call('HGET', account.budgets_key, scope_field(budget_id))
  if not scope then return nil end
  for _, budget in ipairs(read_budgets(account, {scope})) do
    if budget.id == budget_id then return budget end
  end
end

-- Stores the amounts of a scope's budget at a place.
local function write_amounts(account, scope, place, budget)
  local remaining_field, held_field = amount_fields(place, scope)
  redis.call('HSET', account.budgets_key, remaining_field, budget.remaining)
  if budget.held ~= '0' then
    redis.call('HSET', account.budgets_key, held_field, budget.held)
  end
end

-- Stores a scope's budgets, each in its place, without the one of this id, and with `another`, if
-- any.
local function write_scope(account, scope, id_left_out, another)
  local key, budgets, definitions = account.budgets_key, {another}, {}
  for _, budget in ipairs(read_budgets(account, {scope})) do
    redis.call('HDEL', key, budget.remaining_field, budget.held_field)
    if budget.id ~= id_left_out then budgets[#budgets + 1] = budget end
  end
  table.sort(budgets, by_id)
  for place, budget in ipairs(budgets) do
    write_amounts(account, scope, place, budget)
    definitions[place] = encode(BUDGET, budget)
  end
  if #definitions == 0 then
    redis.call('HDEL', key, definitions_field(scope))
  else
    write_definitions(account, scope, definitions)
  end
end

local function put_budget(account, budget)
  redis.call('HSET', account.budgets_key, scope_field(budget.id), budget.scope)
  write_scope(account, budget.scope, budget.id, budget)
end

local function remove_budget(account, budget_id, scope)
  redis.call('HDEL', account.budgets_key, scope_field(budget_id))
  write_scope(account, scope, budget_id)
end
