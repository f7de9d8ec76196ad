-- Grants, where the one being burned does not settle a call by itself: reading them, and planning what to take. A grant's number is that
-- of the operation that made it; 0 is overage, burned last, and may go below zero.
--
-- The hash beside the account: "N" what is left, "N h" what holds pin of it, "N m" what it is: "state pays type priority expires effective
-- scope"; state p (scheduled), a (effective), x (over, but pinned). Of the grant being burned the account's hash has all three: gl, gh, gm.
-- `ol` and `oh` add up what the account's hash has not itself: unscoped left, and held.
--
-- A part is credits of one grant: {n, amount, scoped}.

local Grants = {}
Grants.__index = Grants

local function rank_of(grant)
  if grant.n == '0' then return '~' end
  local expires = grant.expires == '-' and '~' or string.rep('0', 16 - #grant.expires) .. grant.expires
  local promotional = grant.type == 'VOUCHER' or grant.type == 'PROMOTION'
  return string.format('%04d %s %s %012d', grant.priority, expires, promotional and '0' or '1', grant.n)
end

local function describe_grant(grant, meta)
  grant.state, grant.pays, grant.type, grant.priority, grant.expires, grant.effective, grant.scope = meta:match(
    '^(%S+) (%S+) (%S+) (%S+) (%S+) (%S+) (.*)$')
  grant.scoped = grant.scope ~= '-'
end

-- The grant of this number, made if there is none.
function Grants:of(n)
  local known = self.all[n]
  if not known then
    known = {n = n, left = '0', held = '0', state = 'a', scope = '-', expires = '-', effective = '-', pays = '0', rank = '~'}
    self.all[n] = known
  end
  return known
end

-- The account's grants, as they stand.
local function grants_of(account, key, journal_key)
  local self = setmetatable({account = account, key = key, journal_key = journal_key, all = {}, changed = {}}, Grants)
  local fields = redis.call('HGETALL', key)
  for i = 1, #fields, 2 do
    local n, what = fields[i]:match('^(%d+) ?(%a?)$')
    local grant = self:of(n)
    if what == 'm' then
      describe_grant(grant, fields[i + 1])
    else
      grant[what == 'h' and 'held' or 'left'] = fields[i + 1]
    end
  end
  self:of('0')
  local burning = self:of(account.g)
  if account.g ~= '0' then describe_grant(burning, redis.call('HGET', account.key, 'gm')) end
  burning.left, burning.held = account.gl, account.gh
  for _, grant in pairs(self.all) do grant.rank = rank_of(grant) end
  return self
end

-- Whether a request with these labels ("\nservice=chat\nmodel=...\n") may use it: of the models named one, and of the services one.
local function applies(grant, labels)
  if not grant.scoped then return true end
  for _, kind in ipairs({'model=', 'service='}) do
    local named, matched = false, false
    for label in grant.scope:gmatch('[^\n]+') do
      if label:sub(1, #kind) == kind then
        named = true
        matched = matched or labels:find('\n' .. label .. '\n', 1, true) ~= nil
      end
    end
    if named and not matched then return false end
  end
  return true
end

function Grants:part(n, amount)
  local grant = self.all[n]
  return {n = n, amount = amount, scoped = grant and grant.scoped}
end

function Grants:parse(pins)
  local parts = {}
  if pins == '-' then return parts end
  for n, amount in pins:gmatch('(%d+)s?:(%d+)') do
    -- Of a grant that the ledger has lost track of, the account keeps the credits.
    parts[#parts + 1] = self:part(self.all[n] and n or '0', amount)
  end
  return parts
end

local function text_of(parts)
  if #parts == 0 then return '-' end
  local texts = {}
  for i, part in ipairs(parts) do texts[i] = part.n .. (part.scoped and 's' or '') .. ':' .. part.amount end
  return table.concat(texts, ',')
end

-- What a request with these labels may take: spendable, and what scoped grants that apply have left.
function Grants:spendable(labels)
  local lefts = {}
  for _, grant in pairs(self.all) do
    if grant.scoped and grant.state == 'a' and applies(grant, labels) then lefts[#lefts + 1] = grant.left end
  end
  return exact_sum(self.account.key, self.account.gl, self.account.ol, unpack(lefts))
end

-- What scoped grants that apply have left, as parts.
function Grants:applying(labels)
  local parts = {}
  for _, grant in pairs(self.all) do
    if grant.scoped and grant.state == 'a' and grant.left ~= '0' and applies(grant, labels) then
      parts[#parts + 1] = self:part(grant.n, grant.left)
    end
  end
  table.sort(parts, function(one, other) return tonumber(one.n) < tonumber(other.n) end)
  return parts
end

-- Where an amount comes from, in burn order; what no grant has comes from overage.
function Grants:plan(amount, labels)
  local order, parts, rest = {}, {}, amount
  for _, grant in pairs(self.all) do
    if grant.n ~= '0' and grant.state == 'a' and grant.left ~= '0' and applies(grant, labels) then order[#order + 1] = grant end
  end
  table.sort(order, function(one, other) return one.rank < other.rank end)
  for _, grant in ipairs(order) do
    if rest == '0' then break end
    local take = less(rest, grant.left) and rest or grant.left
    parts[#parts + 1] = self:part(grant.n, take)
    rest = exact_sum(self.account.key, rest, negated(take))
  end
  if rest ~= '0' then parts[#parts + 1] = self:part('0', rest) end
  return parts
end

-- The first of the parts that come to `amount` (or all of them, if they are less), and what they are short of it.
function Grants:first_of(parts, amount)
  local taken, rest = {}, amount
  for _, part in ipairs(parts) do
    if rest == '0' then break end
    local take = less(rest, part.amount) and rest or part.amount
    taken[#taken + 1] = self:part(part.n, take)
    rest = exact_sum(self.account.key, rest, negated(take))
  end
  return taken, rest
end

-- One list, a grant once.
function Grants:joined(parts, more)
  local joined, at = {}, {}
  for _, list in ipairs({parts, more}) do
    for _, part in ipairs(list) do
      if at[part.n] then
        joined[at[part.n]].amount = exact_sum(self.account.key, joined[at[part.n]].amount, part.amount)
      else
        joined[#joined + 1] = self:part(part.n, part.amount)
        at[part.n] = #joined
      end
    end
  end
  return joined
end

-- Of parts that come back, those whose grant is over: less what is taken from them again.
function Grants:lapsing(returned, taken)
  local again, lapsed = {}, {}
  for _, part in ipairs(taken) do again[part.n] = part.amount end
  for _, part in ipairs(returned) do
    if self.all[part.n].state == 'x' then
      local amount = exact_sum(self.account.key, part.amount, negated(again[part.n] or '0'))
      if amount ~= '0' then lapsed[#lapsed + 1] = self:part(part.n, amount) end
    end
  end
  return lapsed
end

-- In memory: parts come back to those that are not over, so that a plan sees them.
function Grants:expect(returned)
  for _, part in ipairs(returned) do
    local grant = self.all[part.n]
    if grant.state == 'a' then grant.left = exact_sum(self.account.key, grant.left, part.amount) end
  end
end
