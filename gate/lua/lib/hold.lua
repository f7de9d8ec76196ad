-- Holds. The record is "epoch amount days expires_ms pins budgets":
--   an x follows the epoch if the hold has expired and is kept a while, so that a late debit finds
--   it; days: from the one that the hold counts on to that of the expiry;
--   pins: "7:30,9s:10", nanos by grant, or "7" where the whole amount is of one grant, or "-";
--   budgets: COUNTED_IN, separated by semicolons, or left out where there are none.

local HOLD_PATTERN = '^(%d+)(x?) (%d+) (%-?%d+) (%d+) (%S+) ?(%S*)$'

-- Returns the hold, or nil: unknown, of another account, ended, or left over from an earlier epoch.
local function read_hold(key, hold_id, epoch)
  local record = redis.call('GET', key)
  if not record then return nil end
  local hold_epoch, mark, amount, days, expires_ms, pins, budgets = match(record, HOLD_PATTERN)
  if hold_epoch ~= epoch then return nil end
  if pins ~= ABSENT and not pins:find(':', 1, true) then pins = pins .. ':' .. amount end
  return {
    id = hold_id,
    is_open = mark == '',
    amount = amount,
    day = tostring(day_of(expires_ms) - days),
    expires_ms = expires_ms,
    pins = pins,
    budgets = budgets == '' and ABSENT or budgets,
  }
end

local function encode_hold(epoch, hold)
  local mark = hold.is_open and '' or 'x'
  local days = day_of(hold.expires_ms) - hold.day
  local pins = match(hold.pins, '^(%w+):%d+$') or hold.pins
  local budgets = hold.budgets == ABSENT and '' or ' ' .. hold.budgets
  return epoch .. mark .. ' ' .. hold.amount .. ' ' .. days .. ' ' .. hold.expires_ms .. ' ' .. pins
    .. budgets
end

-- Stores an open hold, and when the reaper is to look at it. The reaper goes by the store's clock,
-- and never comes for the holds of a test clock.
local function write_hold(account, hold_key, holds_by_expiry_key, hold_member, hold)
  local score = account.test_clock_ms == ABSENT and hold.expires_ms or '+inf'
  redis.call('SET', hold_key, encode_hold(account.epoch, hold))
  redis.call('ZADD', holds_by_expiry_key, score, hold_member)
end

-- Says whether the hold has ended by time, whether or not the reaper has come by.
local function is_expired(hold, account)
  return not hold.is_open or account.now_ms >= tonumber(hold.expires_ms)
end

-- Says whether all that the hold pins, if anything, is of the current grant.
local function pins_current_grant(hold, account)
  return hold.pins == ABSENT or hold.pins == account.current_grant .. ':' .. hold.amount
end

-- Plans the return of a hold: credits go back to the grants that they came from, or lapse with
-- those that are over; budgets get back what they count, where their windows still run.
local function plan_return(account, hold)
  local deed = {amount = hold.amount, hold = hold, management_off = account.has.management_off}
  local returned, lapsed = hold.pins, ABSENT
  if account.has.scoped_grants or not pins_current_grant(hold, account) then
    deed.grants = read_grants(account)
    deed.returned = deed.grants:decode_parts(hold.pins)
    deed.lapsed = deed.grants:lapsing(deed.returned, {})
    returned = encode_parts(deed.returned)
    lapsed = encode_parts(deed.lapsed)
  end
  if hold.budgets ~= ABSENT then deed.freed = budgets_of_hold(account, hold) end
  if deed.grants or deed.freed then
    local budgets = deed.freed and encode_budgets(deed.freed) or ABSENT
    deed.allocation = encode_allocation(ABSENT, returned, lapsed, budgets)
  end
  return deed
end

-- Gives a hold back whole. The caller removes the hold itself. Returns the effect line and the
-- replay record, or nil and the reply to return if nothing was written.
local function return_hold(account, fingerprint, kind, hold, method, request)
  local deed = plan_return(account, hold)
  local effect, record_or_reply =
    tell_call(account, fingerprint, kind, deed, method, request, '')
  if not effect then return nil, record_or_reply end

  write_day(account)
  if hold.day == account.day then add_to_account(account, 'day_remaining', hold.amount) end
  if deed.freed then
    move_budgets(account, deed.freed, 'remaining_field', hold.amount)
    move_budgets(account, deed.freed, 'held_field', negated(hold.amount))
  end
  if deed.grants then
    deed.grants:add(deed.returned)
    deed.grants:unpin(deed.returned)
    deed.grants:expire(deed.lapsed)
    deed.grants:settle()
  else
    add_to_account(account, 'left_of_current', hold.amount)
    add_to_account(account, 'held_of_current', negated(hold.amount))
  end
  return effect, record_or_reply
end
