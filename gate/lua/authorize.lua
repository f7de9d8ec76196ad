-- authorize: checks everything and places a hold.
--
-- KEYS[1] account
-- KEYS[2] replay: the request's replay record
-- KEYS[3] journal
-- KEYS[4] grants: those beside the account
-- KEYS[5] budgets: the account's
-- KEYS[6] hold: the new one
-- KEYS[7] holds_by_expiry
--
-- ARGV[1] epoch
-- ARGV[2] fingerprint: of the request's content
-- ARGV[3] replay_ttl_ms: how long to remember the reply
-- ARGV[4] amount_nanos
-- ARGV[5] min_amount_nanos: the least to hold (0: all or nothing)
-- ARGV[6] currency: of the price, or - for a plain amount
-- ARGV[7] labels: "\nkey=value\n...", sorted, or empty
-- ARGV[8] traffic_class: or empty
-- ARGV[9] hold_id
-- ARGV[10] hold_ttl_ms: the hold's time to live
-- ARGV[11] hold_member: the hold's member in holds_by_expiry
-- ARGV[12] method
-- ARGV[13] request: as received
-- ARGV[14] pricing: or empty
--
-- Returns {'ok', effect, its entry's id} | {'replayed', record} | {'denied', reason, look, budget
--   id, its labels} | {'refused', reason} | {'absent'} | {'due'} (process_due_grants comes first)
--   | {'stale'}.
-- Precedence: REQUEST_ID_REUSED, absent, due, CURRENCY_MISMATCH, ACCOUNT_SUSPENDED,
--   INSUFFICIENT_CREDITS, DAILY_LIMIT_EXCEEDED, BUDGET_EXCEEDED, stale.
-- Writes the journal, the hold, the account, its grants and budgets, and the replay record; nothing
-- unless it returns 'ok' (a field lent for adding up aside).

-- Plans the hold, and which grants it pins.
local function plan(account, reservation, labels, hold_id, hold_ttl_ms)
  local amount, matched = reservation.amount, reservation.matched
  local hold = {
    id = hold_id,
    is_open = true,
    amount = amount,
    day = account.day,
    expires_ms = format('%.0f', account.now_ms + hold_ttl_ms),
    pins = amount == '0' and ABSENT or account.current_grant .. ':' .. amount,
    budgets = matched and encode_counted_in(matched) or ABSENT,
  }
  if not reservation.fits_current_grant then
    local grants = reservation.grants or read_grants(account)
    reservation.grants = grants
    reservation.taken = grants:plan(amount, labels)
    hold.pins = encode_parts(reservation.taken)
  end
  if reservation.taken or matched then
    local budgets = matched and encode_budgets(matched) or ABSENT
    reservation.allocation = encode_allocation(hold.pins, ABSENT, ABSENT, budgets)
  end
  reservation.hold = hold
end

-- Writes the sums.
local function write(account, reservation, traffic_class)
  local amount = reservation.amount
  local taken_amount = negated(amount)
  local call, account_key = redis.call, account.key
  if reservation.taken then
    reservation.grants:take(reservation.taken)
    reservation.grants:pin(reservation.taken)
    reservation.grants:settle()
  else
    call('HINCRBY', account_key, LEFT_OF_CURRENT, taken_amount)
    call('HINCRBY', account_key, HELD_OF_CURRENT, amount)
  end
  call('HINCRBY', account_key, DAY_REMAINING, taken_amount)
  if reservation.matched then
    move_budgets(account, reservation.matched, 'remaining_field', taken_amount)
    move_budgets(account, reservation.matched, 'held_field', amount)
  end
  if reservation.begins_grace then begin_grace(account, traffic_class) end
end

local function authorize(keys, arguments)
  local account_key, replay_key, journal_key, grants_key, budgets_key, hold_key,
    holds_by_expiry_key = unpack(keys)
  local epoch, fingerprint, replay_ttl_ms, amount_nanos, min_amount_nanos, currency, labels,
    traffic_class, hold_id, hold_ttl_ms, hold_member, method, request, pricing = unpack(arguments)

  local account, reply = begin_call(
    account_key, replay_key, journal_key, grants_key, budgets_key, epoch, fingerprint)
  if not account then return reply end
  if currency ~= ABSENT and currency ~= account.currency then
    return {'refused', 'CURRENCY_MISMATCH'}
  end
  local has = account.has
  local reservation = {
    amount = amount_nanos,
    hold = nil,
    management_off = has.management_off,
    grants = has.scoped_grants and read_grants(account) or nil,
    matched = has.budgets and match_budgets(account, labels) or nil,
    fits_current_grant = nil,
    allocation = nil,
  }
  local need = amount_nanos
  if min_amount_nanos ~= '0' then need = smaller(amount_nanos, min_amount_nanos) end
  reply = judge(account, reservation, need, labels, traffic_class)
  if reply then return reply end
  plan(account, reservation, labels, hold_id, hold_ttl_ms)
  local effect, record_or_reply =
    tell_call(account, fingerprint, 'authorize', reservation, method, request, pricing)
  if not effect then return record_or_reply end

  if account.has_rolled then write_day(account) end
  write(account, reservation, traffic_class)
  write_hold(account, hold_key, holds_by_expiry_key, hold_member, reservation.hold)
  remember_call(replay_key, record_or_reply, replay_ttl_ms)
  return {'ok', effect, account.entry_id}
end

register('authorize', authorize)
