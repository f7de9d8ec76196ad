-- Changes of budgets: what requests take and give back, windows that begin, and definitions.

local function write_definitions(account, scope, definitions)
  redis.call('HSET', account.budgets_key, definitions_field(scope), table.concat(definitions, '\n'))
end

-- Removes the counters of a budget for each value; no other budget has any.
local function forget_counters(account, budget_id)
  redis.call('UNLINK', counters_key(account, budget_id))
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
  if budget.amounts_key == key then
    redis.call('HSET', key, budget.remaining_field, budget.limit)
    redis.call('HDEL', key, budget.held_field)
  else
    forget_counters(account, budget.id)
  end
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
      if budget.is_new then
        -- Both fields, so that the hash's length tells the number of values.
        redis.call('HSET', budget.amounts_key, budget.remaining_field, '0', budget.held_field, '0')
        budget.is_new = false
      end
      redis.call('HINCRBY', budget.amounts_key, budget[field], amount)
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
      tell_crossing(account, 'budget', budget.name, threshold, budget.start_hour, after)
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

-- Returns the keys of a scope, with an equals sign behind those for each value.
local function noted_keys(scope)
  return (scope:gsub('[^\n]+', function(label)
    return label:match('^([^=]*)=') or label .. '='
  end))
end

-- Notes, in the account's settings, the keys of the budgets' scopes.
local function note_scopes(account)
  local scopes, seen = {}, {}
  for _, field in ipairs(redis.call('HKEYS', account.budgets_key)) do
    local scope = field:match('^d (.*)$')
    local keys = scope and noted_keys(scope)
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

local function is_for_each_value(scope)
  return noted_keys(scope):find('=', 1, true) ~= nil
end

-- Stores the amounts of a scope's budget at a place.
local function write_amounts(account, scope, place, budget)
  if is_for_each_value(scope) then return end
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
    if budget.has_rolled then forget_counters(account, budget.id) end
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
  forget_counters(account, budget_id)
  write_scope(account, scope, budget_id)
end

-- Removes all of an account's budgets.
local function remove_budgets(budgets_key)
  for _, field in ipairs(redis.call('HKEYS', budgets_key)) do
    local budget_id = field:match('^f (.*)$')
    if budget_id then forget_counters({budgets_key = budgets_key}, budget_id) end
  end
  redis.call('DEL', budgets_key)
end
