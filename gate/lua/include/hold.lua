-- Holds: "epoch state amount day expiry_ms pins budgets", state o (open) or x (expired, kept a while so that a late debit is known as
-- such). Pins are "7:30,9s:10", nanos by grant; budgets are "id,start,number;...", number being of the operation that made the budget.

local NO_HOLD = {pins = '-'}

-- The hold, or nil: unknown, of another account, ended, or left over from an earlier epoch.
local function read_hold(key, id, epoch)
  local record = redis.call('GET', key)
  if not record then return nil end
  local hold_epoch, state, amount, day, expires, pins, budgets = record:match('^(%S+) (%S+) (%S+) (%S+) (%S+) (%S+) (%S+)$')
  if hold_epoch ~= epoch then return nil end
  return {id = id, state = state, amount = amount, day = day, expires = expires, pins = pins, budgets = budgets}
end

local function hold_record(epoch, state, hold)
  return epoch .. ' ' .. state .. ' ' .. hold.amount .. ' ' .. hold.day .. ' ' .. hold.expires .. ' ' .. hold.pins .. ' ' .. hold.budgets
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
