-- The account: reading it by its clock, comparing money exactly, and putting what was done into one line.
-- Amounts are decimal strings throughout; only HINCRBY adds them up (exact int64), for a Lua number is exact only to 2^53.

local FIELDS = {'ep', 'op', 'st', 'cur', 'clk', 'day', 'sp', 'held', 'ovr', 'tot', 'used', 'room', 'lim', 'dbase', 'mbase'}

-- a < b, for canonical decimal strings of any int64.
local function less(a, b)
  local a_negative, b_negative = a:byte() == 45, b:byte() == 45
  if a_negative ~= b_negative then return a_negative end
  if #a ~= #b then return (#a < #b) ~= a_negative end
  if a_negative then return b < a end
  return a < b
end

local function negated(amount)
  if amount == '0' then return '0' end
  if amount:byte() == 45 then return amount:sub(2) end
  return '-' .. amount
end

-- Number of the calendar month of a day number, counted from an era that starts on March 1st (Howard Hinnant,
-- "chrono-compatible low-level date algorithms", civil_from_days).
local function month_of(day)
  local z = day + 719468
  local era = math.floor(z / 146097)
  local day_of_era = z - era * 146097
  local year_of_era = math.floor((day_of_era - math.floor(day_of_era / 1460) + math.floor(day_of_era / 36524)
    - math.floor(day_of_era / 146096)) / 365)
  local day_of_year = day_of_era - (365 * year_of_era + math.floor(year_of_era / 4) - math.floor(year_of_era / 100))
  return (era * 400 + year_of_era) * 12 + math.floor((5 * day_of_year + 2) / 153)
end

-- The account's present: the store's clock, or its own test clock.
local function now_ms(clock)
  if clock ~= '-' then return tonumber(clock) end
  local time = redis.call('TIME')
  return time[1] * 1000 + math.floor(time[2] / 1000)
end

-- Moves the account into the present day, in memory; a day never goes back. `write_day` stores it.
local function roll_day(account)
  local today, day = math.floor(account.now / 86400000), tonumber(account.day)
  if today <= day then return end
  account.rolled = true
  if month_of(today) > month_of(day) then account.mbase = account.used end
  account.dbase = account.used
  account.room = account.lim == '-' and '0' or account.lim
  account.day = string.format('%.0f', today)
end

-- The account as it stands now, or nil: not in this store, or left over from an earlier epoch.
local function read_account(key, epoch)
  local value = redis.call('HMGET', key, unpack(FIELDS))
  if value[1] ~= epoch then return nil end
  local account = {}
  for i, field in ipairs(FIELDS) do account[field] = value[i] end
  account.now = now_ms(account.clk)
  roll_day(account)
  return account
end

local function write_day(key, account)
  if account.rolled then
    redis.call('HSET', key, 'day', account.day, 'room', account.room, 'dbase', account.dbase, 'mbase', account.mbase)
  end
end

-- kind, time, day, amount, hold's amount, hold's day, expiry, flags, hold id, then the nine sums (meter/effect.py reads it).
local function effect_line(kind, account, amount, hold, flags)
  return table.concat({
    kind, string.format('%.0f', account.now), account.day, amount,
    hold.amount or '0', hold.day or '-', hold.expires or '-', flags, hold.id or '-',
    account.sp, account.held, account.ovr, account.tot, account.used,
    account.room, account.lim, account.dbase, account.mbase,
  }, ' ')
end

-- First sum of two or three decimal strings that needs adding up for a report: `key` lends a field, and has it back.
local function exact_sum(key, first, ...)
  redis.call('HSET', key, 'sum', first)
  for _, amount in ipairs({...}) do redis.call('HINCRBY', key, 'sum', amount) end
  local sum = redis.call('HGET', key, 'sum')
  redis.call('HDEL', key, 'sum')
  return sum
end
