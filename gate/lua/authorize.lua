#!lua
-- authorize: checks everything and places a hold.
--
-- KEYS[1] account   KEYS[2] replay record   KEYS[3] journal   KEYS[4] grants beside the account   KEYS[5] its budgets
-- KEYS[6] the new hold   KEYS[7] holds by expiry
-- ARGV[1] epoch             ARGV[2] fingerprint of the request's content   ARGV[3] how long to remember the reply, ms
-- ARGV[4] amount, nanos     ARGV[5] least amount, nanos (0: all or nothing)
-- ARGV[6] currency of the price, or - for a plain amount
-- ARGV[7] labels: "\nkey=value\n...", sorted, or empty   ARGV[8] class of traffic, or empty
-- ARGV[9] hold id           ARGV[10] hold's time to live, ms               ARGV[11] its member in the holds by expiry
-- ARGV[12] method           ARGV[13] request, as received                  ARGV[14] pricing, or empty
--
-- Returns {'ok', effect} | {'replayed', brief} | {'denied', reason, look, budget's id, its labels} | {'refused', reason} | {'absent'}
--   | {'due'} (a grant expires or begins first: process_due_grants) | {'stale'}.
-- Precedence: REQUEST_ID_REUSED, absent, due, CURRENCY_MISMATCH, ACCOUNT_SUSPENDED, INSUFFICIENT_CREDITS, DAILY_LIMIT_EXCEEDED,
--   BUDGET_EXCEEDED, stale.
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
local epoch, fingerprint, replay_ttl_ms, amount, least, currency, labels, class = unpack(ARGV, 1, 8)
local hold_id, ttl_ms, member, method, request, pricing = unpack(ARGV, 9)

local seen = replay(replay_key, fingerprint)
if seen then return seen end
local account = read_account(account_key, epoch)
if not account then return {'absent'} end
if is_due(account) then return {'due'} end
if currency ~= '-' and currency ~= account.cur then return {'refused', 'CURRENCY_MISMATCH'} end

local funds = account.has.s and grants_of(account, grants_key, journal_key) or nil
local matched = budgets_matched(account, budgets_key, labels)
local need = (least == '0' or less(amount, least)) and amount or least
local verdict = admitted(account, need, amount, class, funds, labels, matched)
if verdict.reason then return denied(account, verdict, class, funds, labels, matched) end

local held = verdict.amount
local hold = {
  id = hold_id, amount = held, day = account.day, expires = string.format('%.0f', account.now + ttl_ms),
  pins = held == '0' and '-' or account.g .. ':' .. held, budgets = matched and budgets_pinned(matched) or '-',
}
local parts
if not verdict.plain then
  funds = funds or grants_of(account, grants_key, journal_key)
  parts = funds:plan(held, labels)
  hold.pins = text_of(parts)
end
local extras = (parts or matched) and hold.pins .. '/-/-/' .. (matched and budgets_text(matched) or '-') or '-'
local flags = (account.has.o and 'o' or '') .. (verdict.grace and 'g' or '') .. (verdict.begins and 'b' or '')

local effect, brief = effect_line('A', account, held, hold, flags, extras), in_brief('A', account, held, hold, flags, extras)
local failed = journal(journal_key, epoch, effect, method, request, pricing)
if failed then return failed end
write_day(account)
if parts then
  funds:take(parts)
  funds:pin(parts)
  funds:settle()
else
  redis.call('HINCRBY', account_key, 'gl', negated(held))
  redis.call('HINCRBY', account_key, 'gh', held)
end
redis.call('HINCRBY', account_key, 'room', negated(held))
if matched then
  move_budgets(budgets_key, matched, 'room_field', negated(held))
  move_budgets(budgets_key, matched, 'held_field', held)
end
if verdict.begins then begin_grace(account, class) end
redis.call('SET', hold_key, hold_record(epoch, 'o', hold))
redis.call('ZADD', expiries_key, reap_at(hold, account), member)
remember(replay_key, fingerprint, brief, replay_ttl_ms)
return {'ok', effect}
