-- extend: adds to a hold's amount, to its time, or to both. The hold goes on counting on the day
-- and in the windows that it was authorized in.
--
-- KEYS[1] account
-- KEYS[2] replay: the request's replay record
-- KEYS[3] journal
-- KEYS[4] grants: those beside the account
-- KEYS[5] budgets: the account's
-- KEYS[6] hold
-- KEYS[7] holds_by_expiry
--
-- ARGV[1] epoch
-- ARGV[2] fingerprint: of the request's content
-- ARGV[3] replay_ttl_ms: how long to remember the reply
-- ARGV[4] amount_nanos: to add
-- ARGV[5] currency: of the price, or - for a plain amount
-- ARGV[6] labels: "\nkey=value\n...", sorted, or empty (for scoped grants)
-- ARGV[7] traffic_class: or empty
-- ARGV[8] hold_ttl_ms: time to live from now, if later than the present expiry (0: leave that)
-- ARGV[9] hold_id
-- ARGV[10] hold_member: the hold's member in holds_by_expiry
-- ARGV[11] method
-- ARGV[12] request: as received
-- ARGV[13] pricing: or empty
--
-- Returns {'ok', effect, its entry's id} | {'replayed', record} | {'denied', reason, look, budget
--   id, its labels} | {'refused', reason} | {'absent'} | {'due'} (process_due_grants comes first)
--   | {'stale'}.
-- Precedence: REQUEST_ID_REUSED, absent, due, HOLD_NOT_FOUND, HOLD_EXPIRED, CURRENCY_MISMATCH,
--   ACCOUNT_SUSPENDED, INSUFFICIENT_CREDITS, DAILY_LIMIT_EXCEEDED, BUDGET_EXCEEDED, stale.
-- Writes the journal, the hold, the account, its grants and budgets, and the replay record; nothing
-- unless it returns 'ok' (a field lent for adding up aside).

-- Judges the amount, if there is some. Returns the reply to a denied request, or nil.
local function judge_extension(account, extension, labels, traffic_class)
  local amount = extension.amount
  if amount ~= '0' then return judge(account, extension, amount, labels, traffic_class) end
  if account.status ~= 'active' then
    return denied(account, extension, 'ACCOUNT_SUSPENDED', nil, labels, traffic_class)
  end
end

-- Plans which grants the amount comes from.
local function plan(account, extension, labels)
  local amount, matched = extension.amount, extension.matched
  local is_of_current = extension.fits_current_grant and pins_current_grant(extension.hold, account)
  local taken = encode_current_part(account, amount)
  if amount ~= '0' and not is_of_current then
    local grants = extension.grants or read_grants(account)
    extension.grants = grants
    extension.taken = grants:plan(amount, labels)
    taken = encode_parts(extension.taken)
  end
  if extension.taken or matched then
    local budgets = matched and encode_budgets(matched) or ABSENT
    extension.allocation = encode_allocation(taken, ABSENT, ABSENT, budgets)
  end
end

-- Writes the sums, and adds to the hold in memory.
local function write(account, extension, traffic_class)
  local amount, hold, grants = extension.amount, extension.hold, extension.grants
  local taken_amount = negated(amount)
  hold.amount = exact_sum(account.key, hold.amount, amount)
  if extension.taken then
    local pinned = grants:decode_parts(hold.pins)
    hold.pins = encode_parts(grants:joined(pinned, extension.taken))
    grants:take(extension.taken)
    grants:pin(extension.taken)
    grants:settle()
  else
    hold.pins = encode_part(account.current_grant, hold.amount)
    add_to_account(account, 'left_of_current', taken_amount)
    add_to_account(account, 'held_of_current', amount)
  end
  if hold.day == account.day then add_to_account(account, 'day_remaining', taken_amount) end
  if extension.matched then
    move_budgets(account, extension.matched, 'remaining_field', taken_amount)
    move_budgets(account, extension.matched, 'held_field', amount)
  end
  if extension.begins_grace then begin_grace(account, traffic_class) end
end

-- Returns the later of the hold's expiry and the one asked for.
local function later_expiry_ms(account, hold, ttl_ms)
  local expires_ms = account.now_ms + ttl_ms
  if ttl_ms > 0 and expires_ms > tonumber(hold.expires_ms) then return integer_text(expires_ms) end
  return hold.expires_ms
end

local function extend(keys, arguments)
  local account_key, replay_key, journal_key, grants_key, budgets_key, hold_key,
    holds_by_expiry_key = unpack(keys)
  local epoch, fingerprint, replay_ttl_ms, amount_nanos, currency, labels, traffic_class,
    hold_ttl_ms, hold_id, hold_member, method, request, pricing = unpack(arguments)

  local account, reply = begin_call(
    account_key, replay_key, journal_key, grants_key, budgets_key, epoch, fingerprint)
  if not account then return reply end
  local hold = read_hold(hold_key, hold_id, epoch)
  if not hold then return {'refused', 'HOLD_NOT_FOUND'} end
  if is_expired(hold, account) then return {'refused', 'HOLD_EXPIRED'} end
  if currency ~= ABSENT and currency ~= account.currency then
    return {'refused', 'CURRENCY_MISMATCH'}
  end
  local extension = {
    amount = amount_nanos,
    hold = hold,
    management_off = account.has.management_off,
    grants = read_scoped_grants(account),
  }
  if hold.budgets ~= ABSENT then extension.matched = budgets_of_hold(account, hold) end
  reply = judge_extension(account, extension, labels, traffic_class)
  if reply then return reply end
  hold.expires_ms = later_expiry_ms(account, hold, tonumber(hold_ttl_ms))
  plan(account, extension, labels)
  local effect, record_or_reply =
    tell_call(account, fingerprint, 'extend', extension, method, request, pricing)
  if not effect then return record_or_reply end

  write_day(account)
  if amount_nanos ~= '0' then write(account, extension, traffic_class) end
  write_hold(account, hold_key, holds_by_expiry_key, hold_member, hold)
  remember_call(replay_key, record_or_reply, replay_ttl_ms)
  return {'ok', effect, account.entry_id}
end

register('extend', extend)
