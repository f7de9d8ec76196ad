-- Holds, as "epoch amount days expiry_ms pins budgets". Days: from the one that it counts on to that of its expiry. Pins are
-- "7:30,9s:10", nanos by grant, or "7" where the whole amount is of one; budgets are "id,start,number;...", number being of the operation
-- that made the budget, and left out where there are none. An x after the epoch: expired, and kept a while so that a late debit is known
-- as such.

local HOLD = '^(%d+)(x?) (%d+) (%-?%d+) (%d+) (%S+) ?(%S*)$'
local NO_HOLD = {pins = '-'}

local function day_of(ms)
  return math.floor(tonumber(ms) / MS_PER_DAY)
end

-- The hold, or nil: unknown, of another account, ended, or left over from an earlier epoch.
local function read_hold(key, id, epoch)
  local record = redis.call('GET', key)
  if not record then return nil end
  local hold_epoch, x, amount, days, expires, pins, budgets = record:match(HOLD)
  if hold_epoch ~= epoch then return nil end
  if pins ~= '-' and not pins:find(':', 1, true) then pins = pins .. ':' .. amount end
  return {
    id = id, state = x == '' and 'o' or 'x', amount = amount, day = tostring(day_of(expires) - days), expires = expires, pins = pins,
    budgets = budgets == '' and '-' or budgets,
  }
end

local function hold_record(epoch, state, hold)
  local pins = hold.pins:match('^(%w+):%d+$') or hold.pins
  return epoch .. (state == 'x' and 'x' or '') .. ' ' .. hold.amount .. ' ' .. (day_of(hold.expires) - hold.day) .. ' ' .. hold.expires
    .. ' ' .. pins .. (hold.budgets == '-' and '' or ' ' .. hold.budgets)
end

-- Has ended by time, whether or not the reaper has come by.
local function is_expired(hold, account)
  return hold.state == 'x' or account.now >= tonumber(hold.expires)
end

-- When the reaper is to look at it. It goes by the store's clock, and never comes for a test clock's holds.
local function reap_at(hold, account)
  if account.clk ~= '-' then return '+inf' end
  return hold.expires
end

-- Whether all that it pins, if anything, is of the grant being burned.
local function pins_current(hold, account)
  return hold.pins == '-' or hold.pins == account.g .. ':' .. hold.amount
end
