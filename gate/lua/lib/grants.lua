-- Grants, where the current one does not settle a call by itself: reading them, and planning what
-- to take. A grant's number is that of the operation that made it; 0 is overage, which is spent
-- last and may go below zero.
--
-- The hash beside the account has the fields "N" (what is left), "N h" (what holds pin) and "N m"
-- (GRANT_META). Of the current grant the account's own hash has all three. A part is credits of one
-- grant: {number, amount, is_scoped}.

local OVERAGE = '0'
local GRANT_META = layout('state pays_debt type priority expires_ms effective_ms scope')
local GRANT_TERMS = layout('pays_debt type priority expires_ms effective_ms scope')
local SCHEDULED, EFFECTIVE, OVER = 'p', 'a', 'x' -- states; one that is over is pinned by holds
local LAST = '~' -- behind all digits

local Grants = {}
Grants.__index = Grants

local function held_field(number)
  return number .. ' h'
end

local function meta_field(number)
  return number .. ' m'
end

-- Returns a text that sorts grants into the order in which they are spent.
local function rank_of(grant)
  if grant.number == OVERAGE then return LAST end
  local expires = LAST
  if grant.expires_ms ~= ABSENT then
    expires = ('0'):rep(16 - #grant.expires_ms) .. grant.expires_ms
  end
  local is_promotional = grant.type == 'VOUCHER' or grant.type == 'PROMOTION'
  return string.format(
    '%04d %s %d %012d', grant.priority, expires, is_promotional and 0 or 1, grant.number)
end

local function by_rank(one, other)
  return one.rank < other.rank
end

local function by_number(one, other)
  return tonumber(one.number) < tonumber(other.number)
end

local function decode_grant(grant, meta)
  decode(GRANT_META, meta, grant)
  grant.is_scoped = grant.scope ~= ABSENT
end

-- Returns the grant of a number, made if there is none.
function Grants:get(number)
  local grant = self.all[number]
  if not grant then
    grant = {
      number = number,
      left = '0',
      held = '0',
      state = EFFECTIVE,
      pays_debt = '0',
      expires_ms = ABSENT,
      effective_ms = ABSENT,
      scope = ABSENT,
      rank = LAST,
    }
    self.all[number] = grant
  end
  return grant
end

-- Reads the account's grants.
local function read_grants(account)
  local self = setmetatable({account = account, all = {}, changed = {}}, Grants)
  local fields = redis.call('HGETALL', account.grants_key)
  for i = 1, #fields, 2 do
    local number, kind = fields[i]:match('^(%d+) ?(%a?)$')
    local grant, value = self:get(number), fields[i + 1]
    if kind == 'm' then
      decode_grant(grant, value)
    elseif kind == 'h' then
      grant.held = value
    else
      grant.left = value
    end
  end
  self:get(OVERAGE)
  local current = self:get(account.current_grant)
  if current.number ~= OVERAGE then
    decode_grant(current, redis.call('HGET', account.key, FIELD.meta_of_current))
  end
  current.left = account.left_of_current
  current.held = account.held_of_current
  for _, grant in pairs(self.all) do grant.rank = rank_of(grant) end
  return self
end

-- Reads the account's grants where a request may take of scoped ones; else they are not needed yet.
local function read_scoped_grants(account)
  if account.has.scoped_grants then return read_grants(account) end
end

-- Returns the grants' fields and values as they are stored, with the meta of the current grant.
local function grant_fields(account)
  local fields = redis.call('HGETALL', account.grants_key)
  if account.current_grant ~= OVERAGE then
    fields[#fields + 1] = meta_field(account.current_grant)
    fields[#fields + 1] = redis.call('HGET', account.key, FIELD.meta_of_current)
  end
  return fields
end

-- Says whether the labels of a request ("\nservice=chat\nmodel=...\n") have one of those that a
-- scope names of a kind, or the scope names none.
local function matches_scope(scope, kind, labels)
  local is_named = false
  for label in scope:gmatch('[^\n]+') do
    if label:sub(1, #kind) == kind then
      is_named = true
      if labels:find('\n' .. label .. '\n', 1, true) then return true end
    end
  end
  return not is_named
end

local function is_for(grant, labels)
  if not grant.is_scoped then return true end
  return matches_scope(grant.scope, 'model=', labels)
    and matches_scope(grant.scope, 'service=', labels)
end

function Grants:part(number, amount)
  local grant = self.all[number]
  return {number = number, amount = amount, is_scoped = grant and grant.is_scoped}
end

function Grants:decode_parts(pins)
  local parts = {}
  for number, amount in pins:gmatch('(%d+)s?:(%d+)') do
    -- Of a grant that the ledger has lost track of, the account keeps the credits.
    if not self.all[number] then number = OVERAGE end
    parts[#parts + 1] = self:part(number, amount)
  end
  return parts
end

local function encode_parts(parts)
  if #parts == 0 then return ABSENT end
  local texts = {}
  for i, part in ipairs(parts) do
    texts[i] = encode_part(part.number, part.amount, part.is_scoped)
  end
  return table.concat(texts, ',')
end

-- Returns the scoped grants that a request with these labels may spend.
function Grants:scoped_for(labels)
  local grants = {}
  for _, grant in pairs(self.all) do
    if grant.is_scoped and grant.state == EFFECTIVE and is_for(grant, labels) then
      grants[#grants + 1] = grant
    end
  end
  return grants
end

-- Returns what a request with these labels may spend, in nanos.
function Grants:spendable(labels)
  local account, scoped = self.account, {}
  for i, grant in ipairs(self:scoped_for(labels)) do scoped[i] = grant.left end
  return exact_sum(account.key, account.left_of_current, account.left_of_others, unpack(scoped))
end

-- Returns what scoped grants have left for a request with these labels, as parts.
function Grants:scoped_parts(labels)
  local parts = {}
  for _, grant in ipairs(self:scoped_for(labels)) do
    if grant.left ~= '0' then parts[#parts + 1] = self:part(grant.number, grant.left) end
  end
  table.sort(parts, by_number)
  return parts
end

-- Returns the grants with credits left that a request with these labels may spend, in order.
function Grants:spending_order(labels)
  local order = {}
  for _, grant in pairs(self.all) do
    local has_credits = grant.number ~= OVERAGE and grant.state == EFFECTIVE and grant.left ~= '0'
    if has_credits and is_for(grant, labels) then order[#order + 1] = grant end
  end
  table.sort(order, by_rank)
  return order
end

-- Takes the first of the sources (numbers with amounts) up to an amount. Returns parts, and what
-- they are short of the amount.
function Grants:take_first(numbers, amounts, amount)
  local parts, rest = {}, amount
  for i, number in ipairs(numbers) do
    if rest == '0' then break end
    local take = smaller(amounts[i], rest)
    parts[#parts + 1] = self:part(number, take)
    rest = exact_sum(self.account.key, rest, negated(take))
  end
  return parts, rest
end

-- Returns the parts that an amount comes from, in order of spending. What no grant has comes from
-- overage.
function Grants:plan(amount, labels)
  local numbers, amounts = {}, {}
  for i, grant in ipairs(self:spending_order(labels)) do
    numbers[i] = grant.number
    amounts[i] = grant.left
  end
  local parts, rest = self:take_first(numbers, amounts, amount)
  if rest ~= '0' then parts[#parts + 1] = self:part(OVERAGE, rest) end
  return parts
end

-- Returns the first of the parts that come to an amount, and what they are short of it.
function Grants:first_parts(parts, amount)
  local numbers, amounts = {}, {}
  for i, part in ipairs(parts) do
    numbers[i] = part.number
    amounts[i] = part.amount
  end
  return self:take_first(numbers, amounts, amount)
end

-- Returns one list of the parts of both, with each grant once.
function Grants:joined(parts, more)
  local joined, joined_of = {}, {}
  for _, list in ipairs({parts, more}) do
    for _, part in ipairs(list) do
      local same = joined_of[part.number]
      if same then
        same.amount = exact_sum(self.account.key, same.amount, part.amount)
      else
        same = self:part(part.number, part.amount)
        joined[#joined + 1] = same
        joined_of[part.number] = same
      end
    end
  end
  return joined
end

-- Returns what lapses of parts that come back: of grants that are over, less what is taken again.
function Grants:lapsing(returned, taken)
  local amount_taken, lapsing = {}, {}
  for _, part in ipairs(taken) do amount_taken[part.number] = part.amount end
  for _, part in ipairs(returned) do
    if self.all[part.number].state == OVER then
      local again = amount_taken[part.number] or '0'
      local amount = exact_sum(self.account.key, part.amount, negated(again))
      if amount ~= '0' then lapsing[#lapsing + 1] = self:part(part.number, amount) end
    end
  end
  return lapsing
end

-- Puts parts back in memory, where their grants are not over, so that a plan sees them.
function Grants:expect(returned)
  for _, part in ipairs(returned) do
    local grant = self.all[part.number]
    if grant.state == EFFECTIVE then
      grant.left = exact_sum(self.account.key, grant.left, part.amount)
    end
  end
end
