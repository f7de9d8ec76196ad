-- debit: charges what was used. With a hold it settles that; without, it checks and spends. Runs
-- even when Redis is out of memory: what it charges has, as a rule, already been used.
--
-- KEYS[1] account
-- KEYS[2] replay: the request's replay record
-- KEYS[3] journal
-- KEYS[4] grants: those beside the account
-- KEYS[5] budgets: the account's
-- only with a hold:
-- KEYS[6] hold
-- KEYS[7] holds_by_expiry
--
-- ARGV[1] epoch
-- ARGV[2] fingerprint: of the request's content
-- ARGV[3] replay_ttl_ms: how long to remember the reply
-- ARGV[4] amount_nanos
-- ARGV[5] currency: of the price, or - for a plain amount
-- ARGV[6] labels: "\nkey=value\n...", sorted, or empty
-- ARGV[7] traffic_class: or empty
-- ARGV[8] method
-- ARGV[9] request: as received
-- ARGV[10] pricing: or empty
-- only for what is never denied, with a hold or incurred:
-- ARGV[11] hold_id: or -
-- ARGV[12] hold_member: the hold's member in holds_by_expiry, or -
-- ARGV[13] incurred: 1, 0, or lost: for a hold that the store has lost, as if expired
-- ARGV[14] spendable_floor_nanos: the least that may be spendable, and that a limited day may have
--   remaining, before the amount is taken, for the sums to stay within int64 whatever settings
--   follow
-- ARGV[15] used_ceiling_nanos: the most that may be used before the amount is taken; an unlimited
--   day may have no less than its negative remaining
--
-- Returns {'ok', effect, its entry's id} | {'replayed', record} | {'denied', reason, look, budget
--   id, its labels} | {'refused', reason} | {'absent'} | {'due'} (process_due_grants comes first)
--   | {'stale'}.
-- Precedence: REQUEST_ID_REUSED, absent, due, HOLD_NOT_FOUND, CURRENCY_MISMATCH,
--   AMOUNT_OUT_OF_RANGE (what cannot be denied), ACCOUNT_SUSPENDED, INSUFFICIENT_CREDITS,
--   DAILY_LIMIT_EXCEEDED, BUDGET_EXCEEDED (what can), stale.
-- A hold that has expired is charged as incurred, and the effect says so.
-- Writes the journal, the account, its grants and budgets, the replay record, and removes the hold;
-- nothing unless it returns 'ok' (a field lent for adding up aside).

-- Finds what a charge without a hold needs. Returns the charge, or nil and the reply.
local function find_usage(account, amount, currency, labels, is_incurred, is_late)
  if currency ~= ABSENT and currency ~= account.currency then
    return nil, {'refused', 'CURRENCY_MISMATCH'}
  end
  local has = account.has
  return {
    amount = amount,
    hold = NO_HOLD,
    management_off = has.management_off,
    is_incurred = is_incurred,
    is_late = is_late,
    counts_today = true,
    grants = has.scoped_grants and read_grants(account) or nil,
    matched = has.budgets and match_budgets(account, labels) or nil,
    fits_current_grant = nil,
  }
end

-- Finds the hold, and what its charge needs. Returns the charge, or nil and the reply.
local function find_settlement(account, amount, currency, labels, is_incurred, hold_key, hold_id)
  local hold = read_hold(hold_key, hold_id, account.epoch)
  if not hold then return nil, {'refused', 'HOLD_NOT_FOUND'} end
  if currency ~= ABSENT and currency ~= account.currency then
    return nil, {'refused', 'CURRENCY_MISMATCH'}
  end
  local is_late, returns_today, freed = is_expired(hold, account), hold.day == account.day, nil
  if not hold.is_open then
    -- The credits went back when the hold expired.
    hold.amount = '0'
    hold.pins = ABSENT
  elseif account.budget_scopes then
    freed = budgets_of_hold(account, hold)
  end
  local matched = freed
  if is_late then matched = match_budgets(account, labels) end
  return {
    amount = amount,
    hold = hold,
    management_off = account.has.management_off,
    is_incurred = is_incurred,
    is_late = is_late,
    settles_hold = not is_late,
    returns_hold = hold.is_open,
    returns_today = returns_today,
    counts_today = is_late or returns_today,
    grants = read_scoped_grants(account),
    freed = freed,
    matched = matched,
    fits_current_grant = nil,
  }
end

-- Says whether the use of a budget would leave int64. `freed` has the running budgets that the hold
-- counts in, by name.
local function budget_leaves_int64(account, charge, budget, freed, ceiling)
  local counted = exact_sum(account.key, budget.limit, negated(budget.remaining))
  if not less(ceiling, counted) then return false end
  if not freed[budget.name] then return true end
  return less(ceiling, exact_sum(account.key, counted, negated(charge.hold.amount)))
end

local function budgets_leave_int64(account, charge, ceiling)
  local freed = {}
  for _, budget in ipairs(charge.freed or NONE) do freed[budget.name] = not budget.has_passed end
  for _, budget in ipairs(charge.matched or NONE) do
    if budget_leaves_int64(account, charge, budget, freed, ceiling) then return true end
  end
  return false
end

-- Says whether a sum would leave int64 by a charge that cannot be denied.
local function leaves_int64(account, charge, floor, ceiling)
  if less(ceiling, account.used) then return true end
  local key, hold = account.key, charge.hold
  local is_of_one_day = charge.returns_today or not charge.counts_today
  if charge.returns_hold and is_of_one_day and not less(hold.amount, charge.amount) then
    return false -- takes no more than the hold gives back
  end
  local spendable, day_remaining = spendable_of(account), account.day_remaining
  if charge.returns_hold then
    spendable = exact_sum(key, spendable, hold.amount)
    if charge.returns_today then day_remaining = exact_sum(key, day_remaining, hold.amount) end
  end
  if budgets_leave_int64(account, charge, ceiling) or less(spendable, floor) then return true end
  if not charge.counts_today then return false end
  return less(day_remaining, has_daily_limit(account) and floor or negated(ceiling))
end

-- Judges what cannot be denied: with a hold, or incurred. Returns the reply if it is refused.
local function judge_undeniable(account, charge, floor, ceiling)
  if leaves_int64(account, charge, floor, ceiling) then
    return {'refused', 'AMOUNT_OUT_OF_RANGE'}
  end
  local hold, amount = charge.hold, charge.amount
  local leaves_current_grant = account.current_grant == OVERAGE
    or less(amount, account.left_of_current)
    or charge.settles_hold and not less(hold.amount, amount)
  charge.fits_current_grant = not charge.grants and leaves_current_grant
    and pins_current_grant(hold, account)
end

-- Plans which grants are taken from, where the current one does not do by itself.
local function plan_grants(account, charge, labels)
  local grants = charge.grants or read_grants(account)
  local returned = grants:decode_parts(charge.hold.pins)
  local taken
  if charge.settles_hold then
    local pinned, rest = grants:first_parts(returned, charge.amount)
    taken = grants:joined(pinned, rest == '0' and NONE or grants:plan(rest, labels))
  else
    grants:expect(returned)
    taken = grants:plan(charge.amount, labels)
  end
  charge.grants = grants
  charge.taken = taken
  charge.returned = returned
  charge.lapsed = grants:lapsing(returned, charge.settles_hold and taken or NONE)
end

-- Plans what is taken, returned and lapsed, and where. The usual charge is of the current grant.
local function plan(account, charge, labels)
  if charge.fits_current_grant and not charge.matched then return end
  local matched, freed = charge.matched, nil
  local budgets = matched and encode_budgets(matched) or ABSENT
  if charge.is_late and charge.freed and #charge.freed > 0 then
    freed = encode_budgets(charge.freed)
  end
  if not charge.fits_current_grant then
    plan_grants(account, charge, labels)
    charge.allocation = encode_allocation(
      encode_parts(charge.taken), encode_parts(charge.returned), encode_parts(charge.lapsed),
      budgets, freed)
  else
    charge.allocation = encode_allocation(
      encode_current_part(account, charge.amount), charge.hold.pins, ABSENT, budgets, freed)
  end
end

-- Gives the hold back to the current grant, if all is of that, and to the day.
local function write_hold_back(account, charge, hold_key, holds_by_expiry_key, hold_member)
  local call, account_key, amount = redis.call, account.key, charge.hold.amount
  if charge.returns_hold then
    if not charge.taken and amount ~= '0' then
      call('HINCRBY', account_key, LEFT_OF_CURRENT, amount)
      call('HINCRBY', account_key, HELD_OF_CURRENT, negated(amount))
    end
    if charge.returns_today then call('HINCRBY', account_key, DAY_REMAINING, amount) end
    call('ZREM', holds_by_expiry_key, hold_member)
  end
  call('DEL', hold_key)
end

-- Counts the use on the day of the hold, which has passed.
local function write_earlier_use(account, charge)
  local key = account.key
  unpack_settings(account)
  account.day_base = exact_sum(key, account.day_base, charge.amount)
  if tonumber(charge.hold.day) < tonumber(account.day) - 1 then
    account.yesterday_base = exact_sum(key, account.yesterday_base, charge.amount)
  end
  pack_settings(account)
  write_settings(account)
end

-- Writes the sums, and the entries that follow from them.
local function write(account, charge, traffic_class)
  local call, account_key, amount = redis.call, account.key, charge.amount
  local taken, matched, taken_amount = charge.taken, charge.matched, negated(amount)
  call('HINCRBY', account_key, USED, amount)
  if charge.counts_today then
    call('HINCRBY', account_key, DAY_REMAINING, taken_amount)
  else
    write_earlier_use(account, charge)
  end
  if charge.freed then
    move_budgets(account, charge.freed, 'remaining_field', charge.hold.amount)
    move_budgets(account, charge.freed, 'held_field', negated(charge.hold.amount))
  end
  if matched then move_budgets(account, matched, 'remaining_field', taken_amount) end
  if taken then
    charge.grants:add(charge.returned)
    charge.grants:unpin(charge.returned)
    charge.grants:take(taken)
  else
    call('HINCRBY', account_key, LEFT_OF_CURRENT, taken_amount)
  end
  if charge.begins_grace then begin_grace(account, traffic_class) end
  if account.has.thresholds then cross_thresholds(account, amount, charge.counts_today) end
  if matched then cross_budgets(account, matched, amount) end
  if taken then
    charge.grants:expire(charge.lapsed)
    charge.grants:settle()
  end
end

local function debit(keys, arguments)
  local account_key, replay_key, journal_key, grants_key, budgets_key, hold_key,
    holds_by_expiry_key = unpack(keys)
  local epoch, fingerprint, replay_ttl_ms, amount_nanos, currency, labels, traffic_class, method,
    request, pricing, hold_id, hold_member, incurred, spendable_floor_nanos, used_ceiling_nanos =
    unpack(arguments)

  local account, reply = begin_call(
    account_key, replay_key, journal_key, grants_key, budgets_key, epoch, fingerprint)
  if not account then return reply end
  local charge
  local is_of_lost_hold = incurred == 'lost'
  local is_incurred = incurred == '1' or is_of_lost_hold
  if hold_key then
    charge, reply = find_settlement(
      account, amount_nanos, currency, labels, is_incurred, hold_key, hold_id)
  else
    charge, reply = find_usage(
      account, amount_nanos, currency, labels, is_incurred, is_of_lost_hold)
  end
  if not charge then return reply end
  if hold_key or is_incurred then
    reply = judge_undeniable(account, charge, spendable_floor_nanos, used_ceiling_nanos)
  else
    reply = judge(account, charge, amount_nanos, labels, traffic_class)
  end
  if reply then return reply end
  plan(account, charge, labels)
  local effect, record_or_reply =
    tell_call(account, fingerprint, 'debit', charge, method, request, pricing)
  if not effect then return record_or_reply end

  if account.has_rolled then write_day(account) end
  if hold_key then
    write_hold_back(account, charge, hold_key, holds_by_expiry_key, hold_member)
  end
  write(account, charge, traffic_class)
  remember_call(replay_key, record_or_reply, replay_ttl_ms)
  return {'ok', effect, account.entry_id}
end

register('debit', debit, {'allow-oom'})
