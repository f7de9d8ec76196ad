-- Graces, which let a class of traffic go on without credits, and the account's thresholds.

-- The field `gr`: a line for each grace.
local GRACE = layout('duration_ms amount began_ms traffic_class')
-- The field `lv`: separated by semicolons. The subject is daily_use or low_balance.
local THRESHOLD = layout('id,subject,nanos')
-- The allocation of the entry that tells of a crossed threshold.
local CROSSING = layout('subject,budget_id,threshold_id,window,nanos,value')

local function decode_graces(text)
  return decode_list(GRACE, '\n', text)
end

local function encode_graces(graces)
  return encode_list(GRACE, '\n', graces)
end

local function read_graces(account)
  return decode_graces(redis.call('HGET', account.key, FIELD.graces) or '')
end

local function write_graces(account, graces)
  redis.call('HSET', account.key, FIELD.graces, encode_graces(graces))
end

local function is_over(grace, account)
  if grace.duration_ms == ABSENT or grace.began_ms == ABSENT then return false end
  return account.now_ms >= tonumber(grace.began_ms) + tonumber(grace.duration_ms)
end

-- Returns the grace that a class of traffic has now, or nil.
local function find_grace(account, traffic_class)
  if traffic_class == '' or not account.has.graces then return nil end
  for _, grace in ipairs(read_graces(account)) do
    if grace.traffic_class == traffic_class then
      return not is_over(grace, account) and grace or nil
    end
  end
end

local function begin_grace(account, traffic_class)
  local graces = read_graces(account)
  for _, grace in ipairs(graces) do
    if grace.traffic_class == traffic_class then grace.began_ms = account.at_ms end
  end
  write_graces(account, graces)
end

-- Says whether so many credits more leave something to spend, and end a grace that has begun.
local function ends_graces(account, amount, is_scoped)
  if is_scoped or not account.has.graces then return false end
  local has_begun = false
  for _, grace in ipairs(read_graces(account)) do
    if grace.began_ms ~= ABSENT then has_begun = true end
  end
  if not has_begun then return false end
  return less('0', exact_sum(account.key, account.left_of_current, account.left_of_others, amount))
end

local function end_graces(account)
  local graces = read_graces(account)
  for _, grace in ipairs(graces) do grace.began_ms = ABSENT end
  write_graces(account, graces)
end

local function tell_crossing(account, subject, budget_id, threshold, window, value)
  local crossing = encode(CROSSING, {
    subject = subject,
    budget_id = budget_id,
    threshold_id = threshold.id,
    window = window,
    nanos = threshold.nanos,
    value = value,
  })
  tell_consequence(account, 'threshold', {amount = '0', allocation = crossing})
end

-- A use rises to its threshold or beyond.
local function rises_to(threshold, before, after)
  return less(before, threshold.nanos) and not less(after, threshold.nanos)
end

-- A balance falls to its threshold or below.
local function falls_to(threshold, before, after)
  return less(threshold.nanos, before) and not less(threshold.nanos, after)
end

-- Tells what was crossed when `amount` was used or taken away, just now. A threshold is crossed
-- where the sum was on one side of it before, and is on the other, or at it, after: so once a day,
-- or once between two grants, by the sums alone.
local function cross_thresholds(account, amount, counts_today)
  if not account.has.thresholds or account.has.management_off or amount == '0' then return end
  local key, now = account.key, stored_account(account.key, account.epoch)
  unpack_settings(now)
  local used = exact_sum(key, now.used, negated(now.day_base))
  local used_before = used
  if counts_today then used_before = exact_sum(key, used, negated(amount)) end
  local balance = exact_sum(key, now.total, negated(now.expired), negated(now.used))
  local balance_before = exact_sum(key, balance, amount)
  local thresholds = redis.call('HGET', key, FIELD.thresholds) or ''
  for _, threshold in ipairs(decode_list(THRESHOLD, ';', thresholds)) do
    local subject = threshold.subject
    if subject == 'daily_use' then
      if rises_to(threshold, used_before, used) then
        tell_crossing(account, subject, ABSENT, threshold, now.day, used)
      end
    elseif falls_to(threshold, balance_before, balance) then
      tell_crossing(account, subject, ABSENT, threshold, now.total, balance)
    end
  end
end

-- Stores thresholds and graces in an account that has none; either may be empty.
local function write_lists(account_key, thresholds, graces)
  if thresholds ~= '' then redis.call('HSET', account_key, FIELD.thresholds, thresholds) end
  if graces ~= '' then redis.call('HSET', account_key, FIELD.graces, graces) end
end
