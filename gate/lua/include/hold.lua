-- Holds: "epoch state amount day expiry_ms", state o (open) or x (expired, kept a while so that a late debit is known as such).

-- The hold, or nil: unknown, of another account, ended, or left over from an earlier epoch.
local function read_hold(key, id, epoch)
  local record = redis.call('GET', key)
  if not record then return nil end
  local hold_epoch, state, amount, day, expires = record:match('^(%S+) (%S+) (%S+) (%S+) (%S+)$')
  if hold_epoch ~= epoch then return nil end
  return {id = id, state = state, amount = amount, day = day, expires = expires}
end

local function hold_record(epoch, state, hold)
  return table.concat({epoch, state, hold.amount, hold.day, hold.expires}, ' ')
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

-- Gives a hold's amount back to the account's sums; the caller removes the hold itself.
local function return_hold(key, account, hold)
  redis.call('HINCRBY', key, 'held', negated(hold.amount))
  redis.call('HINCRBY', key, 'sp', hold.amount)
  if hold.day == account.day then redis.call('HINCRBY', key, 'room', hold.amount) end
end
