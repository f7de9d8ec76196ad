-- Budgets, of accounts that have some. The hash: "k" the keys that budgets go by, "i FACETS" the ids of the budgets of that scope, "d ID"
-- what it is: "end hard limit start levels number window FACETS" (hard 1 or 0; days; levels "id:nanos|..." or -), "r ID" its room in the
-- present window, "h ID" what of it holds have. FACETS are one or two "key=value", sorted, joined by a newline; keys in `k` likewise, a tab
-- between scopes. `number` is of the operation that made it.

local Budgets = {}
Budgets.__index = Budgets

local function budgets_of(account, key, journal_key)
  return setmetatable({account = account, key = key, journal_key = journal_key, free = has_flag(account, 'o'), today = tonumber(account.day)}, Budgets)
end

-- The window that a day is in: its first day, and the first behind it.
function Budgets:window(kind, day)
  if kind == 'day' then return day, day + 1 end
  if kind == 'week' then
    local monday = day - (day + 3) % 7
    return monday, monday + 7
  end
  if kind == 'lifetime' then return 0, nil end
  local _, first = month_of(day)
  local _, next_first = month_of(first + 31)
  return first, next_first
end

local function describe(budget)
  budget.number, budget.window, budget.facets = budget.rest:match('^(%S+) (%S+) (.*)$')
end

local function parse(self, id, definition, room, held)
  local stop, hard, limit, start, levels, rest = definition:match('^(%S+) (%S+) (%S+) (%S+) (%S+) (.*)$')
  local budget = {
    id = id, hard = hard, limit = limit, start = start, stop = stop, levels = levels, rest = rest, room = room, held = held or '0',
  }
  if stop ~= '-' and self.today >= tonumber(stop) then
    describe(budget)
    local first, behind = self:window(budget.window, self.today)
    budget.start, budget.stop = string.format('%.0f', first), string.format('%.0f', behind)
    budget.room, budget.held, budget.rolled = limit, '0', true
  end
  return budget
end

-- The budgets of these ids, as they stand in their present windows; those that are gone are left out.
local function read(self, ids)
  if #ids == 0 then return {} end
  local fields, budgets = {}, {}
  for _, id in ipairs(ids) do
    fields[#fields + 1], fields[#fields + 2], fields[#fields + 3] = 'd ' .. id, 'r ' .. id, 'h ' .. id
  end
  local values = redis.call('HMGET', self.key, unpack(fields))
  for i, id in ipairs(ids) do
    if values[3 * i - 2] then budgets[#budgets + 1] = parse(self, id, values[3 * i - 2], values[3 * i - 1], values[3 * i]) end
  end
  return budgets
end

-- "key=value" of a key among facets, or nil.
local function facet_of(facets, name)
  local start = facets:find('\n' .. name .. '=', 1, true)
  return start and facets:sub(start + 1, facets:find('\n', start + 1, true) - 1)
end

-- Those that a request with these facets ("\nkey=value\n...") meets, by id.
function Budgets:met(facets)
  if facets == '' then return {} end
  local scopes, ids = {}, {}
  for one, other in (redis.call('HGET', self.key, 'k') or ''):gmatch('([^\n\t]+)\n?([^\n\t]*)') do
    local first, second = facet_of(facets, one), other ~= '' and facet_of(facets, other)
    if first and (second or other == '') then scopes[#scopes + 1] = 'i ' .. first .. (second and '\n' .. second or '') end
  end
  if #scopes == 0 then return {} end
  for _, named in ipairs(redis.call('HMGET', self.key, unpack(scopes))) do
    if named then for id in named:gmatch('%S+') do ids[#ids + 1] = id end end
  end
  if #ids > 1 then table.sort(ids) end
  return read(self, ids)
end

-- Those that a hold counts in. One whose window has passed since, or that was made anew, is not what it was: `past`.
function Budgets:held(pinned)
  local ids, start, number = {}, {}, {}
  for id, first, made in pinned:gmatch('([^,;]+),([^,;]+),([^,;]+)') do
    ids[#ids + 1], start[id], number[id] = id, first, made
  end
  local budgets = {}
  for _, budget in ipairs(read(self, ids)) do
    describe(budget)
    if budget.number == number[budget.id] then
      budget.past = budget.start ~= start[budget.id]
      budget.counts_in = start[budget.id]
      budgets[#budgets + 1] = budget
    end
  end
  return budgets
end

-- The tightest of the hard ones that have not the room for `need`.
function Budgets:exceeded(budgets, need)
  if self.free then return nil end
  local tightest
  for _, budget in ipairs(budgets) do
    if budget.hard == '1' and less(budget.room, need) and not (tightest and not less(budget.room, tightest.room)) then
      tightest = budget
    end
  end
  return tightest
end

-- The amount, or as much of it as every hard budget has room for.
function Budgets:bounded(budgets, amount)
  if self.free then return amount end
  for _, budget in ipairs(budgets) do
    if budget.hard == '1' and less(budget.room, amount) then amount = budget.room end
  end
  return amount
end

-- As the effect line has them (meter/effect.py).
function Budgets:text(budgets)
  if #budgets == 0 then return '-' end
  local texts = {}
  for i, budget in ipairs(budgets) do
    texts[i] = (budget.id .. ',' .. (budget.counts_in or budget.start) .. ',' .. budget.stop .. ',' .. budget.room .. ',' .. budget.held
      .. ',' .. budget.limit .. ',' .. (budget.hard == '1' and 'h' or 's') .. (budget.past and 'p' or ''))
  end
  return table.concat(texts, ';')
end

-- As a hold remembers them.
function Budgets:pinned(budgets)
  if #budgets == 0 then return '-' end
  local texts = {}
  for i, budget in ipairs(budgets) do
    describe(budget)
    texts[i] = budget.id .. ',' .. budget.start .. ',' .. budget.number
  end
  return table.concat(texts, ';')
end

-- From here on: writes.

local function definition(budget)
  return table.concat({
    budget.stop, budget.hard, budget.limit, budget.start, budget.levels, budget.number, budget.window, budget.facets,
  }, ' ')
end

local function unroll(self, budget)
  if not budget.rolled then return end
  describe(budget)
  redis.call('HSET', self.key, 'd ' .. budget.id, definition(budget), 'r ' .. budget.id, budget.room)
  redis.call('HDEL', self.key, 'h ' .. budget.id)
  budget.rolled = false
end

-- Moves room and holds of each by these amounts; those of windows that have passed stay as they are.
function Budgets:move(budgets, what, amount)
  if amount == '0' then return end
  for _, budget in ipairs(budgets) do
    unroll(self, budget)
    if not budget.past then redis.call('HINCRBY', self.key, what .. ' ' .. budget.id, amount) end
  end
end

-- Thresholds of the budgets' use that `amount`, just used, has crossed.
function Budgets:cross(budgets, amount)
  if self.free or amount == '0' then return end
  for _, budget in ipairs(budgets) do
    if budget.levels ~= '-' and not budget.past then
      local before = exact_sum(self.account.key, budget.limit, negated(budget.room), negated(budget.held))
      local after = exact_sum(self.account.key, before, amount)
      for name, level in budget.levels:gmatch('([^:|]+):(%d+)') do
        if less(before, level) and not less(after, level) then
          journal_consequence(self.journal_key, self.account, 'T', '0', table.concat({'budget', budget.id, name, budget.start, level, after}, ','))
        end
      end
    end
  end
end

local function index(self, facets, change)
  local ids = {}
  for id in (redis.call('HGET', self.key, 'i ' .. facets) or ''):gmatch('%S+') do
    if id ~= change.without then ids[#ids + 1] = id end
  end
  ids[#ids + 1] = change.with
  if #ids == 0 then
    redis.call('HDEL', self.key, 'i ' .. facets)
  else
    redis.call('HSET', self.key, 'i ' .. facets, table.concat(ids, ' '))
  end
  local keys, seen = {}, {}
  for _, field in ipairs(redis.call('HKEYS', self.key)) do
    if field:sub(1, 2) == 'i ' then
      local scope = field:sub(3):gsub('=[^\n]*', '')
      if not seen[scope] then keys[#keys + 1], seen[scope] = scope, true end
    end
  end
  table.sort(keys)
  if #keys == 0 then
    redis.call('HDEL', self.key, 'k')
  else
    redis.call('HSET', self.key, 'k', table.concat(keys, '\t'))
  end
end

function Budgets:find(id)
  local budget = read(self, {id})[1]
  if budget then describe(budget) end
  return budget
end

function Budgets:put(budget)
  redis.call('HSET', self.key, 'd ' .. budget.id, definition(budget), 'r ' .. budget.id, budget.room)
  if budget.held == '0' then
    redis.call('HDEL', self.key, 'h ' .. budget.id)
  else
    redis.call('HSET', self.key, 'h ' .. budget.id, budget.held)
  end
  index(self, budget.facets, {without = budget.id, with = budget.id})
end

-- Whether there are others.
function Budgets:remove(id, facets)
  redis.call('HDEL', self.key, 'd ' .. id, 'r ' .. id, 'h ' .. id)
  index(self, facets, {without = id})
  return redis.call('EXISTS', self.key) == 1
end
