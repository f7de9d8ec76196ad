-- The account: reading it by its clock, comparing money exactly, and putting what was done into one line.
-- Amounts are decimal strings throughout; only HINCRBY adds them up (exact int64), for a Lua number is exact only to 2^53.
-- What changes seldom stands in one field, `s`, so that the usual call reads few (gate/store/keys.py has the glossary).

local SETTINGS = '^(%S+) (%S+) (%S+) (%S+) (%S+) (%S+) (%S+) (%S+) (%S+) (%S+) (.*)$'
local TAIL = {'lim', 'ovr', 'exp', 'dbase', 'mbase', 'ybase'}
local MS_PER_DAY = 86400000
local REMEMBERED = 1024
local byte = ('').byte -- of the library `string`, which is not at hand while functions are loaded

-- A function of one text, with its newest results kept for the calls to come.
local function remembering(make)
  local known, count = {}, 0
  return function(text)
    local made = known[text]
    if made then return made end
    if count == REMEMBERED then known, count = {}, 0 end
    made = make(text)
    known[text], count = made, count + 1
    return made
  end
end

-- a < b, for canonical decimal strings of any int64.
local function less(a, b)
  local a_negative, b_negative = byte(a) == 45, byte(b) == 45
  if a_negative ~= b_negative then return a_negative end
  if #a ~= #b then return (#a < #b) ~= a_negative end
  if a_negative then return b < a end
  return a < b
end

local function negated(amount)
  if amount == '0' then return '0' end
  if byte(amount) == 45 then return amount:sub(2) end
  return '-' .. amount
end

-- First sum of decimal strings that needs adding up: `key` lends a field, and has it back.
local function exact_sum(key, first, ...)
  redis.call('HSET', key, 'sum', first)
  for _, amount in ipairs({...}) do redis.call('HINCRBY', key, 'sum', amount) end
  local sum = redis.call('HGET', key, 'sum')
  redis.call('HDEL', key, 'sum')
  return sum
end

-- Number of the calendar month of a day number, counted from an era that starts on March 1st, and the day number on which that month
-- begins (Howard Hinnant, "chrono-compatible low-level date algorithms", civil_from_days and days_from_civil).
local function month_of(day)
  local z = day + 719468
  local era = math.floor(z / 146097)
  local day_of_era = z - era * 146097
  local year_of_era = math.floor((day_of_era - math.floor(day_of_era / 1460) + math.floor(day_of_era / 36524)
    - math.floor(day_of_era / 146096)) / 365)
  local first_of_year = 365 * year_of_era + math.floor(year_of_era / 4) - math.floor(year_of_era / 100)
  local month = math.floor((5 * (day_of_era - first_of_year) + 2) / 153)
  local first = era * 146097 + first_of_year + math.floor((153 * month + 2) / 5) - 719468
  return (era * 400 + year_of_era) * 12 + month, first
end

-- The account's present, ms as text: by the store's clock, or by its own test clock.
local function now_of(clock)
  if clock ~= '-' then return clock end
  local time = redis.call('TIME')
  return time[1] .. ('00000' .. time[2]):sub(-6, -4)
end

-- The sums that change seldom, out of their string and back into it.
local function unpack_tail(account)
  local i = 0
  for value in account.tail:gmatch('%S+') do
    i = i + 1
    account[TAIL[i]] = value
  end
end

local function pack_tail(account)
  local values = {}
  for i, name in ipairs(TAIL) do values[i] = account[name] end
  account.tail = table.concat(values, ' ')
end

-- Moves the account into the present day, in memory; a day never goes back. `write_day` stores it.
local function roll_day(account, today)
  local day = tonumber(account.day)
  unpack_tail(account)
  if month_of(today) > month_of(day) then account.mbase = account.used end
  account.ybase = today == day + 1 and account.dbase or account.used
  account.dbase = account.used
  account.room = account.lim == '-' and '0' or account.lim
  account.day = string.format('%.0f', today)
  account.rolled = true
  pack_tail(account)
end

-- A string of flags as a set.
local flags_in = remembering(function(text)
  local flags = {}
  for flag in text:gmatch('%l') do flags[flag] = true end
  return flags
end)

-- The account as its hash stands, or nil: not in this store, or left over from an earlier epoch.
local function stored_account(key, epoch)
  local value = redis.call('HMGET', key, 's', 'gl', 'gh', 'ol', 'oh', 'used', 'room')
  if not value[1] then return nil end
  local ep, st, clk, day, due, flags, g, op, cur, tot, tail = value[1]:match(SETTINGS)
  if ep ~= epoch then return nil end
  local has, budgeted = flags_in(flags), nil
  if has.b then
    local cut = tail:find('\n', 1, true)
    tail, budgeted = tail:sub(1, cut - 1), tail:sub(cut + 1)
  end
  return {
    key = key, ep = ep, st = st, clk = clk, day = day, due = due, flags = flags, has = has, g = g, op = op, cur = cur, tot = tot,
    tail = tail, budgeted = budgeted, gl = value[2], gh = value[3], ol = value[4], oh = value[5], used = value[6], room = value[7],
  }
end

-- The account as it stands now, or nil.
local function read_account(key, epoch)
  local account = stored_account(key, epoch)
  if not account then return nil end
  account.at = now_of(account.clk)
  account.now = tonumber(account.at)
  if account.now >= (account.day + 1) * MS_PER_DAY then roll_day(account, math.floor(account.now / MS_PER_DAY)) end
  return account
end

-- Whether a grant expires or begins before anything else may be decided: then process_due_grants comes first.
local function is_due(account)
  return account.due ~= '-' and account.now >= tonumber(account.due)
end

-- Sets or clears a flag of the account, in memory.
local function set_flag(account, flag, on)
  local rest = account.flags:gsub('[-' .. flag .. ']', '')
  account.flags = rest .. (on and flag or '')
  if account.flags == '' then account.flags = '-' end
  account.has = flags_in(account.flags)
end

-- A daily limit that is to be kept.
local function is_limited(account)
  return byte(account.tail) ~= 45 and not account.has.o
end

local function write_settings(account)
  redis.call('HSET', account.key, 's', table.concat({
    account.ep, account.st, account.clk, account.day, account.due, account.flags, account.g, account.op, account.cur, account.tot,
    account.tail,
  }, ' ') .. (account.budgeted and '\n' .. account.budgeted or ''))
end

local function write_day(account)
  if not account.rolled then return end
  write_settings(account)
  redis.call('HSET', account.key, 'room', account.room)
end

-- What any request may take: in effective grants without a scope, and of overage.
local function spendable_of(account)
  if account.ol == '0' then return account.gl end
  return exact_sum(account.key, account.gl, account.ol)
end

-- The grants beside the account, and the one being burned, as fields and values (gate/store/keys.py).
local function grant_fields(account, key)
  local fields = redis.call('HGETALL', key)
  if account.g ~= '0' then
    fields[#fields + 1] = account.g .. ' m'
    fields[#fields + 1] = redis.call('HGET', account.key, 'gm')
  end
  return fields
end

-- What was done, and the account (meter/journal/effect.py has the grammar, and reads it).
local function effect_line(kind, account, amount, hold, flags, extras)
  return kind .. ' ' .. account.at .. ' ' .. account.day .. ' ' .. amount .. ' ' .. (hold.amount or '0') .. ' ' .. (hold.day or '-') .. ' '
    .. (hold.expires or '-') .. ' ' .. (flags == '' and '-' or flags) .. ' ' .. (hold.id or '-') .. ' ' .. account.g .. ' ' .. extras .. ' '
    .. account.gl .. ' ' .. account.gh .. ' ' .. account.ol .. ' ' .. account.oh .. ' ' .. account.used .. ' ' .. account.room .. ' '
    .. account.tot .. ' ' .. account.tail
end

-- Of that, as much as a repeat's reply needs (meter/journal/replay_record.py has the grammar, and reads it).
local function in_brief(kind, account, amount, hold, flags, extras)
  local gh, ol, oh, its_hold = account.gh, account.ol, account.oh, ''
  if hold.id then
    its_hold = ' ' .. account.day .. ',' .. hold.amount .. ',' .. hold.day .. ',' .. hold.expires .. ',' .. hold.id
  end
  return kind .. amount .. ' ' .. flags .. ' ' .. account.g .. ' ' .. (extras == '-' and '' or extras) .. ' ' .. account.gl .. ' '
    .. (gh == '0' and '' or gh) .. ' ' .. (ol == '0' and '' or ol) .. ' ' .. (oh == '0' and '' or oh) .. ' ' .. account.used .. ' '
    .. (gh == '0' and oh == '0' and '' or account.room) .. ' ' .. (account.has.s and account.tot or '') .. ' ' .. account.tail .. its_hold
end
