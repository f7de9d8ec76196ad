-- Amounts, hours and days. Amounts are decimal strings of int64, for a Lua number is exact only to
-- 2^53: they are compared here, and added up by HINCRBY.

local ABSENT = '-'
local MINUS = 45 -- the byte
local MS_PER_DAY = 86400000
local MS_PER_HOUR = 3600000
local HOURS_PER_DAY = 24
local byte, format, match, sub = ('').byte, ('').format, ('').match, ('').sub

-- a < b
local function less(a, b)
  local a_negative, b_negative = byte(a) == MINUS, byte(b) == MINUS
  if a_negative ~= b_negative then return a_negative end
  if #a ~= #b then return (#a < #b) ~= a_negative end
  if a_negative then return b < a end
  return a < b
end

local function smaller(a, b)
  if less(b, a) then return b end
  return a
end

local function negated(amount)
  if amount == '0' then return '0' end
  if byte(amount) == MINUS then return sub(amount, 2) end
  return '-' .. amount
end

-- Adds amounts up. A field of the hash `key` is lent for that, and removed again.
local function exact_sum(key, first, ...)
  redis.call('HSET', key, 'sum', first)
  for _, amount in ipairs({...}) do redis.call('HINCRBY', key, 'sum', amount) end
  local sum = redis.call('HGET', key, 'sum')
  redis.call('HDEL', key, 'sum')
  return sum
end

-- Writes a whole number without an exponent.
local function integer_text(number)
  return format('%.0f', number)
end

-- Adds two amounts up. Short ones are exact as numbers, which costs less.
local function sum_of(key, a, b)
  if #a < 16 and #b < 16 then return integer_text(a + b) end
  return exact_sum(key, a, b)
end

-- Returns the UTC day number of a time in ms.
local function day_of(ms)
  return math.floor(ms / MS_PER_DAY)
end

-- Returns the calendar month of a day number, counted from an era that starts on March 1st, and the
-- day number on which the month begins (Howard Hinnant, "chrono-compatible low-level date
-- algorithms", civil_from_days and days_from_civil).
local function month_of(day)
  local floor = math.floor
  local shifted_day = day + 719468
  local era = floor(shifted_day / 146097)
  local day_of_era = shifted_day - era * 146097
  local leap_days =
    floor(day_of_era / 1460) - floor(day_of_era / 36524) + floor(day_of_era / 146096)
  local year_of_era = floor((day_of_era - leap_days) / 365)
  local first_of_year = 365 * year_of_era + floor(year_of_era / 4) - floor(year_of_era / 100)
  local month = floor((5 * (day_of_era - first_of_year) + 2) / 153)
  local first_of_month = era * 146097 + first_of_year + floor((153 * month + 2) / 5) - 719468
  return (era * 400 + year_of_era) * 12 + month, first_of_month
end

-- Returns the first hour of the budget window around an hour, and the first hour behind it, or
-- "-". Both are texts, and count from 1970.
local function window_of(window, hour)
  if window == 'lifetime' then return '0', ABSENT end
  if window == 'hour' then return integer_text(hour), integer_text(hour + 1) end
  local day = math.floor(hour / HOURS_PER_DAY)
  local first, behind = day, day + 1
  if window == 'week' then
    first = day - (day + 3) % 7
    behind = first + 7
  elseif window == 'month' then
    local _
    _, first = month_of(day)
    _, behind = month_of(first + 31)
  end
  return integer_text(first * HOURS_PER_DAY), integer_text(behind * HOURS_PER_DAY)
end
