#!lua
-- extend: adds to a hold's amount, to its time, or to both. It goes on counting on the day and in the windows it was authorized in.
--
-- KEYS[1] account   KEYS[2] replay record   KEYS[3] journal   KEYS[4] grants beside the account   KEYS[5] its budgets
-- KEYS[6] the hold   KEYS[7] holds by expiry
-- ARGV[1] epoch             ARGV[2] fingerprint of the request's content   ARGV[3] how long to remember the reply, ms
-- ARGV[4] amount to add, nanos              ARGV[5] currency of the price, or - for a plain amount
-- ARGV[6] labels: "\nkey=value\n...", sorted, or empty (for scoped grants)   ARGV[7] class of traffic, or empty
-- ARGV[8] time to live from now, ms, if later than the present expiry (0: leave it)
-- ARGV[9] hold id           ARGV[10] its member in the holds by expiry
-- ARGV[11] method           ARGV[12] request, as received                  ARGV[13] pricing, or empty
--
-- Returns {'ok', effect} | {'replayed', brief} | {'denied', reason, look, budget's id, its labels} | {'refused', reason} | {'absent'}
--   | {'due'} | {'stale'}.
-- Precedence: REQUEST_ID_REUSED, absent, due, HOLD_NOT_FOUND, HOLD_EXPIRED, CURRENCY_MISMATCH, ACCOUNT_SUSPENDED,
--   INSUFFICIENT_CREDITS, DAILY_LIMIT_EXCEEDED, BUDGET_EXCEEDED, stale.
-- Writes the journal, the hold, the account, its grants and budgets, and the replay record; nothing unless it returns 'ok' (a field
-- lent for adding up aside).
-- @include account
-- @include journal
-- @include replay
-- @include hold
-- @include thresholds
-- @include grants
-- @include grant_changes
-- @include budgets
-- @include admission
local account_key, replay_key, journal_key, grants_key, budgets_key, hold_key, expiries_key = unpack(KEYS)
local epoch, fingerprint, replay_ttl_ms, amount, currency, labels, class = unpack(ARGV, 1, 7)
local ttl_ms, hold_id, member, method, request, pricing = tonumber(ARGV[8]), unpack(ARGV, 9)

local seen = replay(replay_key, fingerprint)
if seen then return seen end
local account = read_account(account_key, epoch)
if not account then return {'absent'} end
if is_due(account) then return {'due'} end
local hold = read_hold(hold_key, hold_id, epoch)
if not hold then return {'refused', 'HOLD_NOT_FOUND'} end
if is_expired(hold, account) then return {'refused', 'HOLD_EXPIRED'} end
if currency ~= '-' and currency ~= account.cur then return {'refused', 'CURRENCY_MISMATCH'} end

local funds = account.has.s and grants_of(account, grants_key, journal_key) or nil
local matched = hold.budgets ~= '-' and budgets_held(account, budgets_key, hold.budgets) or nil
local verdict = {plain = true}
if amount ~= '0' then
  verdict = admitted(account, amount, amount, class, funds, labels, matched)
elseif account.st ~= 'active' then
  verdict = {reason = 'ACCOUNT_SUSPENDED'}
end
if verdict.reason then return denied(account, verdict, class, funds, labels, matched) end

if ttl_ms > 0 and account.now + ttl_ms > tonumber(hold.expires) then
  hold.expires = string.format('%.0f', account.now + ttl_ms)
end
local parts
if amount ~= '0' and not (verdict.plain and pins_current(hold, account)) then
  funds = funds or grants_of(account, grants_key, journal_key)
  parts = funds:plan(amount, labels)
end
local taken = parts and text_of(parts) or amount == '0' and '-' or account.g .. ':' .. amount
local extras = (parts or matched) and taken .. '/-/-/' .. (matched and budgets_text(matched) or '-') or '-'
local flags = (account.has.o and 'o' or '') .. (verdict.grace and 'g' or '') .. (verdict.begins and 'b' or '')

local effect, brief = effect_line('E', account, amount, hold, flags, extras), in_brief('E', account, amount, hold, flags, extras)
local failed = journal(journal_key, epoch, effect, method, request, pricing)
if failed then return failed end
write_day(account)
if amount ~= '0' then
  hold.amount = exact_sum(account_key, hold.amount, amount)
  if parts then
    hold.pins = text_of(funds:joined(funds:parse(hold.pins), parts))
    funds:take(parts)
    funds:pin(parts)
    funds:settle()
  else
    hold.pins = account.g .. ':' .. hold.amount
    redis.call('HINCRBY', account_key, 'gl', negated(amount))
    redis.call('HINCRBY', account_key, 'gh', amount)
  end
  if hold.day == account.day then redis.call('HINCRBY', account_key, 'room', negated(amount)) end
  if matched then
    move_budgets(budgets_key, matched, 'room_field', negated(amount))
    move_budgets(budgets_key, matched, 'held_field', amount)
  end
  if verdict.begins then begin_grace(account, class) end
end
redis.call('SET', hold_key, hold_record(epoch, 'o', hold))
redis.call('ZADD', expiries_key, reap_at(hold, account), member)
remember(replay_key, fingerprint, brief, replay_ttl_ms)
return {'ok', effect}
