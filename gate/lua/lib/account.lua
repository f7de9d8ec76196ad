-- The account: the stored form, reading the account by its clock, and writing its settings.
--
-- In memory an account has the fields of SETTINGS and the sums of FIELD, `has` (the flags as named
-- booleans), `budget_scopes`, and, once read by its clock, `at_ms` (text) and `now_ms` (number).
-- The account's keys stand beside them: key, journal_key, grants_key, budgets_key.

-- The fields of the account's hash that every call reads.
local SETTINGS_FIELD = 's'
local LEFT_OF_CURRENT, HELD_OF_CURRENT = 'gl', 'gh' -- of the grant spent first; 0 is overage
local LEFT_OF_OTHERS, HELD_OF_OTHERS = 'ol', 'oh' -- effective ones without a scope, and overage
local USED, DAY_REMAINING = 'used', 'room'

-- All of them, by what they are called in memory.
local FIELD = {
  settings = SETTINGS_FIELD,
  left_of_current = LEFT_OF_CURRENT,
  held_of_current = HELD_OF_CURRENT,
  meta_of_current = 'gm',
  left_of_others = LEFT_OF_OTHERS,
  held_of_others = HELD_OF_OTHERS,
  used = USED,
  day_remaining = DAY_REMAINING,
  thresholds = 'lv',
  graces = 'gr',
}

-- What changes seldom stands in one field. Its last part stays one text, `packed`, until a script
-- needs a value of it.
local SETTINGS = layout(
  'epoch status test_clock_ms day due_ms flags current_grant operation_number currency total '
    .. 'packed')
local SETTINGS_PATTERN = SETTINGS.pattern
local PACKED_SETTINGS = layout('daily_limit overage expired day_base month_base yesterday_base')

local FLAG_LETTERS = {
  budgets = 'b',
  graces = 'g',
  management_off = 'o',
  scoped_grants = 's',
  thresholds = 't',
}

local decode_flags = keep_results(function(letters)
  local flags = {}
  for name, letter in pairs(FLAG_LETTERS) do
    flags[name] = letters:find(letter, 1, true) ~= nil
  end
  return flags
end)

-- Sets or clears a flag of the account, in memory.
local function set_flag(account, name, on)
  local letters = account.flags:gsub('[-' .. FLAG_LETTERS[name] .. ']', '')
  if on then letters = letters .. FLAG_LETTERS[name] end
  account.flags = letters == '' and ABSENT or letters
  account.has = decode_flags(account.flags)
end

local function unpack_settings(account)
  decode(PACKED_SETTINGS, account.packed, account)
end

local function pack_settings(account)
  account.packed = encode(PACKED_SETTINGS, account)
end

-- Returns the account as its hash stands, or nil: not in this store, or left over from an earlier
-- epoch.
local function stored_account(key, expected_epoch, journal_key, grants_key, budgets_key)
  local values = redis.call(
    'HMGET', key, SETTINGS_FIELD, LEFT_OF_CURRENT, HELD_OF_CURRENT, LEFT_OF_OTHERS, HELD_OF_OTHERS,
    USED, DAY_REMAINING)
  if not values[1] then return nil end
  -- The names in the order of SETTINGS: every call passes here, and `decode` would cost it more.
  local epoch, status, test_clock_ms, day, due_ms, flags, current_grant, operation_number, currency,
    total, packed = match(values[1], SETTINGS_PATTERN)
  if epoch ~= expected_epoch then return nil end
  local has, budget_scopes = decode_flags(flags), nil
  if has.budgets then packed, budget_scopes = match(packed, '^([^\n]*)\n(.*)$') end
  return {
    key = key,
    journal_key = journal_key,
    grants_key = grants_key,
    budgets_key = budgets_key,
    epoch = epoch,
    status = status,
    test_clock_ms = test_clock_ms,
    day = day,
    due_ms = due_ms,
    flags = flags,
    has = has,
    current_grant = current_grant,
    operation_number = operation_number,
    currency = currency,
    total = total,
    packed = packed,
    budget_scopes = budget_scopes,
    left_of_current = values[2],
    held_of_current = values[3],
    left_of_others = values[4],
    held_of_others = values[5],
    used = values[6],
    day_remaining = values[7],
  }
end

-- Returns the present in ms, as text: the time of the test clock, or that of the store.
local function clock_ms(test_clock_ms)
  if test_clock_ms ~= ABSENT then return test_clock_ms end
  local time = redis.call('TIME')
  local seconds, microseconds = time[1], time[2]
  if #microseconds < 6 then microseconds = sub('00000' .. microseconds, -6) end
  return seconds .. sub(microseconds, 1, 3)
end

-- Returns an amount that may be absent.
local function or_zero(amount)
  return amount == ABSENT and '0' or amount
end

-- Moves the account into a later day, in memory.
local function roll_day(account, today)
  local day = tonumber(account.day)
  unpack_settings(account)
  if month_of(today) > month_of(day) then account.month_base = account.used end
  account.yesterday_base = today == day + 1 and account.day_base or account.used
  account.day_base = account.used
  account.day_remaining = or_zero(account.daily_limit)
  account.day = integer_text(today)
  account.has_rolled = true
  pack_settings(account)
end

-- Returns the account as it stands now, or nil. The account's day never goes back.
local function read_account(key, epoch, journal_key, grants_key, budgets_key)
  local account = stored_account(key, epoch, journal_key, grants_key, budgets_key)
  if not account then return nil end
  local at_ms = clock_ms(account.test_clock_ms)
  local now_ms = tonumber(at_ms)
  account.at_ms = at_ms
  account.now_ms = now_ms
  if now_ms >= (account.day + 1) * MS_PER_DAY then roll_day(account, day_of(now_ms)) end
  return account
end

-- Says whether a grant expires or begins before anything else may be decided: process_due_grants
-- comes first then.
local function is_due(account)
  return account.due_ms ~= ABSENT and account.now_ms >= tonumber(account.due_ms)
end

-- Returns the UTC hour, counted from 1970, by which budgets go. It is never of a day before the
-- account's.
local function hour_of(account)
  return math.max(account.day * HOURS_PER_DAY, math.floor(account.now_ms / MS_PER_HOUR))
end

local function has_daily_limit(account)
  return byte(account.packed) ~= MINUS
end

-- Returns what every request may spend: of effective grants without a scope, and of overage.
local function spendable_of(account)
  if account.left_of_others == '0' then return account.left_of_current end
  return exact_sum(account.key, account.left_of_current, account.left_of_others)
end

local function add_to_account(account, sum, amount)
  redis.call('HINCRBY', account.key, FIELD[sum], amount)
end

-- Stores all sums of an account.
local function write_sums(account)
  redis.call(
    'HSET', account.key, FIELD.left_of_current, account.left_of_current,
    FIELD.held_of_current, account.held_of_current, FIELD.left_of_others, account.left_of_others,
    FIELD.held_of_others, account.held_of_others, FIELD.used, account.used,
    FIELD.day_remaining, account.day_remaining)
end

local function write_settings(account)
  local settings = encode(SETTINGS, account)
  if account.budget_scopes then settings = settings .. '\n' .. account.budget_scopes end
  redis.call('HSET', account.key, FIELD.settings, settings)
end

-- Stores changed settings, and the day that the account was moved into, if it was.
local function write_changed_settings(account)
  write_settings(account)
  if account.has_rolled then
    redis.call('HSET', account.key, FIELD.day_remaining, account.day_remaining)
  end
end

-- Stores the day that the account was moved into, if it was.
local function write_day(account)
  if account.has_rolled then write_changed_settings(account) end
end
