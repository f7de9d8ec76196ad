-- Grants, changed: what was planned is moved, what is over expires, and the right grant is burned next. All of it writes, after the
-- entry that says so.

function Grants:move(n, what, amount)
  if amount == '0' then return end
  self.changed[n] = true
  if n == self.account.g then
    redis.call('HINCRBY', self.account.key, what == 'left' and 'gl' or 'gh', amount)
  elseif what == 'left' then
    redis.call('HINCRBY', self.key, n, amount)
    if not self:of(n).scoped then redis.call('HINCRBY', self.account.key, 'ol', amount) end
  else
    redis.call('HINCRBY', self.key, n .. ' h', amount)
    redis.call('HINCRBY', self.account.key, 'oh', amount)
  end
end

function Grants:add(parts) for _, part in ipairs(parts) do self:move(part.n, 'left', part.amount) end end
function Grants:take(parts) for _, part in ipairs(parts) do self:move(part.n, 'left', negated(part.amount)) end end
function Grants:pin(parts) for _, part in ipairs(parts) do self:move(part.n, 'held', part.amount) end end
function Grants:unpin(parts) for _, part in ipairs(parts) do self:move(part.n, 'held', negated(part.amount)) end end

-- Reads anew what is left of it and held from it.
function Grants:refresh(grant)
  local burning = grant.n == self.account.g
  local key, left, held = self.key, grant.n, grant.n .. ' h'
  if burning then key, left, held = self.account.key, 'gl', 'gh' end
  local value = redis.call('HMGET', key, left, held)
  grant.left, grant.held = value[1] or '0', value[2] or '0'
end

local function meta_of(grant)
  return table.concat({
    grant.state, grant.pays, grant.type, grant.priority, grant.expires, grant.effective, grant.scope,
  }, ' ')
end

function Grants:write(grant)
  if grant.n == self.account.g then
    redis.call('HSET', self.account.key, 'gm', meta_of(grant))
  else
    redis.call('HSET', self.key, grant.n .. ' m', meta_of(grant))
  end
end

-- A new grant, nothing in it yet.
function Grants:put(n, meta)
  local grant = self:of(n)
  describe_grant(grant, meta)
  grant.rank = rank_of(grant)
  self:write(grant)
  return grant
end

-- Nobody may take of it any more; what holds have pinned stays until they end.
function Grants:over(grant)
  grant.state = 'x'
  self:write(grant)
  self.changed[grant.n] = true
end

-- Takes credits away for good; the entry is the caller's.
function Grants:lose(part)
  local account = self.account
  self:take({part})
  unpack_tail(account)
  account.exp = exact_sum(account.key, account.exp, part.amount)
  pack_tail(account)
  write_settings(account)
end

-- What was left, or came back too late, expires.
function Grants:expire(parts)
  for _, part in ipairs(parts) do
    journal_consequence(self.journal_key, self.account, 'V', part.amount, text_of({part}) .. '/-/-/-')
    self:lose(part)
    cross_levels(self.journal_key, self.account, part.amount, false)
  end
end

-- Debt is paid from a grant, as far as that goes.
function Grants:pay_debt(n)
  local account, overage, grant = self.account, self:of('0'), self:of(n)
  unpack_tail(account)
  self:refresh(grant)
  self:refresh(overage)
  local debt = exact_sum(account.key, account.ovr, negated(overage.left), negated(overage.held))
  if not less('0', debt) or grant.left == '0' then return end
  local amount = less(debt, grant.left) and debt or grant.left
  local from, to = {self:part(n, amount)}, {self:part('0', amount)}
  journal_consequence(self.journal_key, account, 'P', amount, text_of(from) .. '/' .. text_of(to) .. '/-/-')
  self:take(from)
  self:add(to)
end

-- The next time at which a grant expires or begins, or -.
function Grants:next_due()
  local due
  for _, grant in pairs(self.all) do
    local at = (grant.state == 'p' and grant.effective) or (grant.state == 'a' and grant.expires) or '-'
    if at ~= '-' and (not due or less(at, due)) then due = at end
  end
  return due or '-'
end

-- The grant that is to be burned: the first in order that any request may use.
function Grants:first()
  local best = self.all['0']
  for _, grant in pairs(self.all) do
    if grant.n ~= '0' and grant.state == 'a' and not grant.scoped and grant.left ~= '0' and grant.rank < best.rank then best = grant end
  end
  return best
end

-- Has `is` burned instead of `was`: they change places, the one into the account's hash, the other into that beside it.
function Grants:burn(was, is)
  local account, key = self.account, self.key
  if was.left ~= '0' then redis.call('HSET', key, was.n, was.left) end
  if was.held ~= '0' then redis.call('HSET', key, was.n .. ' h', was.held) end
  if was.n ~= '0' then redis.call('HSET', key, was.n .. ' m', meta_of(was)) end
  redis.call('HDEL', key, is.n, is.n .. ' h', is.n .. ' m')
  redis.call('HINCRBY', account.key, 'ol', was.left)
  redis.call('HINCRBY', account.key, 'oh', was.held)
  redis.call('HINCRBY', account.key, 'ol', negated(is.left))
  redis.call('HINCRBY', account.key, 'oh', negated(is.held))
  redis.call('HSET', account.key, 'gl', is.left, 'gh', is.held)
  if is.n == '0' then
    redis.call('HDEL', account.key, 'gm')
  else
    redis.call('HSET', account.key, 'gm', meta_of(is))
  end
  account.g = is.n
end

-- Those that have changed and have nothing left, nor held; told, unless they were over before.
function Grants:used_up()
  local ended = {}
  for n in pairs(self.changed) do
    local grant = self.all[n]
    self:refresh(grant)
    if n ~= '0' and grant.left == '0' and grant.held == '0' then ended[#ended + 1] = grant end
  end
  table.sort(ended, function(one, other) return tonumber(one.n) < tonumber(other.n) end)
  for _, grant in ipairs(ended) do
    if grant.state == 'a' then
      local nothing = text_of({self:part(grant.n, '0')})
      journal_consequence(self.journal_key, self.account, 'Q', '0', nothing .. '/-/-/-')
    end
  end
  return ended
end

-- Puts the grants in order after they have changed: the right one is burned, those that are used up are gone.
function Grants:settle()
  local account, ended = self.account, self:used_up()
  local was, is = self.all[account.g], self:first()
  if is ~= was then self:burn(was, is) end
  for _, grant in ipairs(ended) do
    redis.call('HDEL', self.key, grant.n, grant.n .. ' h', grant.n .. ' m')
    self.all[grant.n] = nil
  end
  self.changed = {}
  local scoped = false
  for _, grant in pairs(self.all) do scoped = scoped or grant.scoped end
  set_flag(account, 's', scoped)
  account.due = self:next_due()
  write_settings(account)
end
