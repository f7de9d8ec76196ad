-- Changes of grants: planned parts are moved, grants start and expire, and the right grant is the
-- current one. All of it writes, after the entry that says so.

-- Adds an amount (perhaps negative) to what a grant has left or held.
function Grants:move(number, sum, amount)
  if amount == '0' then return end
  local account = self.account
  self.changed[number] = true
  if number == account.current_grant then
    add_to_account(account, sum .. '_of_current', amount)
  elseif sum == 'held' then
    redis.call('HINCRBY', account.grants_key, held_field(number), amount)
    add_to_account(account, 'held_of_others', amount)
  else
    redis.call('HINCRBY', account.grants_key, number, amount)
    if not self:get(number).is_scoped then add_to_account(account, 'left_of_others', amount) end
  end
end

function Grants:add(parts)
  for _, part in ipairs(parts) do self:move(part.number, 'left', part.amount) end
end

function Grants:take(parts)
  for _, part in ipairs(parts) do self:move(part.number, 'left', negated(part.amount)) end
end

function Grants:pin(parts)
  for _, part in ipairs(parts) do self:move(part.number, 'held', part.amount) end
end

function Grants:unpin(parts)
  for _, part in ipairs(parts) do self:move(part.number, 'held', negated(part.amount)) end
end

-- Reads again what a grant has left and held.
function Grants:refresh(grant)
  local account, values = self.account, nil
  if grant.number == account.current_grant then
    values = redis.call('HMGET', account.key, FIELD.left_of_current, FIELD.held_of_current)
  else
    values = redis.call('HMGET', account.grants_key, grant.number, held_field(grant.number))
  end
  grant.left = values[1] or '0'
  grant.held = values[2] or '0'
end

-- Stores what a grant is.
function Grants:write(grant)
  local account, meta = self.account, encode(GRANT_META, grant)
  if grant.number == account.current_grant then
    redis.call('HSET', account.key, FIELD.meta_of_current, meta)
  else
    redis.call('HSET', account.grants_key, meta_field(grant.number), meta)
  end
end

-- Adds a scheduled grant.
function Grants:schedule(number, amount, terms)
  local grant = self:get(number)
  decode_grant(grant, SCHEDULED .. ' ' .. terms)
  grant.rank = rank_of(grant)
  self:write(grant)
  redis.call('HSET', self.account.grants_key, number, amount)
end

-- Ends a grant: nobody may take of it any more; what holds have pinned stays until they end.
function Grants:finish(grant)
  grant.state = OVER
  self:write(grant)
  self.changed[grant.number] = true
end

-- Takes credits away for good; the entry is the caller's.
function Grants:lose(part)
  local account = self.account
  self:take({part})
  unpack_settings(account)
  account.expired = exact_sum(account.key, account.expired, part.amount)
  pack_settings(account)
  write_settings(account)
end

-- Expires what was left, or came back too late.
function Grants:expire(parts)
  local account = self.account
  for _, part in ipairs(parts) do
    local allocation = encode_allocation(encode_parts({part}), ABSENT, ABSENT, ABSENT)
    tell_consequence(account, 'grant_expires', {amount = part.amount, allocation = allocation})
    self:lose(part)
    cross_thresholds(account, part.amount, false)
  end
end

-- Pays debt from a grant, as far as the grant goes.
function Grants:pay_debt(grant)
  local account, overage = self.account, self:get(OVERAGE)
  unpack_settings(account)
  self:refresh(grant)
  self:refresh(overage)
  local debt = exact_sum(account.key, account.overage, negated(overage.left), negated(overage.held))
  if not less('0', debt) or grant.left == '0' then return end
  local amount = smaller(grant.left, debt)
  local from, to = {self:part(grant.number, amount)}, {self:part(OVERAGE, amount)}
  local allocation = encode_allocation(encode_parts(from), encode_parts(to), ABSENT, ABSENT)
  tell_consequence(account, 'debt_paid', {amount = amount, allocation = allocation})
  self:take(from)
  self:add(to)
end

-- Starts a scheduled grant, whose entry stands in the journal: the credits join what may be spent,
-- pay debt where they are to, and end graces.
function Grants:start(number, amount, is_end_of_graces)
  local account, grant = self.account, self.all[number]
  grant.state = EFFECTIVE
  grant.left = amount
  self:write(grant)
  if not grant.is_scoped then add_to_account(account, 'left_of_others', amount) end
  account.total = exact_sum(account.key, account.total, amount)
  write_settings(account)
  if grant.pays_debt == '1' then self:pay_debt(grant) end
  if is_end_of_graces then end_graces(account) end
  self.changed[number] = true
end

local function next_change_ms(grant)
  if grant.state == SCHEDULED then return grant.effective_ms end
  if grant.state == EFFECTIVE then return grant.expires_ms end
  return ABSENT
end

-- Returns the next time at which a grant expires or begins, or "-".
function Grants:next_due_ms()
  local next_due_ms
  for _, grant in pairs(self.all) do
    local change_ms = next_change_ms(grant)
    if change_ms ~= ABSENT and (not next_due_ms or less(change_ms, next_due_ms)) then
      next_due_ms = change_ms
    end
  end
  return next_due_ms or ABSENT
end

-- Returns the grant that is to be the current one: the first in order that every request may spend.
function Grants:first_to_spend()
  local first = self.all[OVERAGE]
  for _, grant in pairs(self.all) do
    local is_open = grant.number ~= OVERAGE and grant.state == EFFECTIVE and grant.left ~= '0'
    if is_open and not grant.is_scoped and grant.rank < first.rank then first = grant end
  end
  return first
end

-- Moves a grant from the account's hash into the one beside it.
function Grants:move_out(grant)
  local key, number = self.account.grants_key, grant.number
  if grant.left ~= '0' then redis.call('HSET', key, number, grant.left) end
  if grant.held ~= '0' then redis.call('HSET', key, held_field(number), grant.held) end
  if number ~= OVERAGE then
    redis.call('HSET', key, meta_field(number), encode(GRANT_META, grant))
  end
  add_to_account(self.account, 'left_of_others', grant.left)
  add_to_account(self.account, 'held_of_others', grant.held)
end

-- Moves a grant into the account's hash: it is the current one from here on.
function Grants:move_in(grant)
  local account = self.account
  self:remove(grant.number)
  add_to_account(account, 'left_of_others', negated(grant.left))
  add_to_account(account, 'held_of_others', negated(grant.held))
  redis.call(
    'HSET', account.key, FIELD.left_of_current, grant.left, FIELD.held_of_current, grant.held)
  if grant.number == OVERAGE then
    redis.call('HDEL', account.key, FIELD.meta_of_current)
  else
    redis.call('HSET', account.key, FIELD.meta_of_current, encode(GRANT_META, grant))
  end
  account.current_grant = grant.number
end

-- Removes a grant from the hash beside the account.
function Grants:remove(number)
  redis.call('HDEL', self.account.grants_key, number, held_field(number), meta_field(number))
end

-- Returns the changed grants that have nothing left, nor held; tells of those that were not over.
function Grants:used_up()
  local used_up = {}
  for number in pairs(self.changed) do
    local grant = self.all[number]
    self:refresh(grant)
    if number ~= OVERAGE and grant.left == '0' and grant.held == '0' then
      used_up[#used_up + 1] = grant
    end
  end
  table.sort(used_up, by_number)
  for _, grant in ipairs(used_up) do
    if grant.state == EFFECTIVE then
      local nothing = encode_parts({self:part(grant.number, '0')})
      local allocation = encode_allocation(nothing, ABSENT, ABSENT, ABSENT)
      tell_consequence(self.account, 'grant_used_up', {amount = '0', allocation = allocation})
    end
  end
  return used_up
end

-- Puts the grants in order after changes: the right one is current, those used up are gone.
function Grants:settle()
  local account, used_up = self.account, self:used_up()
  local current, first = self.all[account.current_grant], self:first_to_spend()
  if first ~= current then
    self:move_out(current)
    self:move_in(first)
  end
  for _, grant in ipairs(used_up) do
    self:remove(grant.number)
    self.all[grant.number] = nil
  end
  self.changed = {}
  local has_scoped = false
  for _, grant in pairs(self.all) do has_scoped = has_scoped or grant.is_scoped end
  set_flag(account, 'scoped_grants', has_scoped)
  account.due_ms = self:next_due_ms()
  write_settings(account)
end
