-- A hold goes back whole: to the grants that it came from, or away with those that are over; to the day and the budgets' windows it
-- counted in, where those still run. The caller removes the hold itself.

-- The effect line, and in brief; or nil and the reply that the script must return, if nothing was written.
local function return_hold(kind, account, hold, grants_key, budgets_key, journal_key, method, request)
  local funds, back, lapsed
  if account.has.s or not pins_current(hold, account) then
    funds = grants_of(account, grants_key, journal_key)
    back = funds:parse(hold.pins)
    lapsed = funds:lapsing(back, {})
  end
  local freed = hold.budgets ~= '-' and budgets_held(account, budgets_key, hold.budgets) or nil
  local extras = '-'
  if funds or freed then
    extras = table.concat({
      '-', funds and text_of(back) or hold.pins, funds and text_of(lapsed) or '-', freed and budgets_text(freed) or '-',
    }, '/')
  end
  local flags = account.has.o and 'o' or ''
  local effect = effect_line(kind, account, hold.amount, hold, flags, extras)
  local brief = in_brief(kind, account, hold.amount, hold, flags, extras)
  local failed = journal(journal_key, account.ep, effect, method, request, '')
  if failed then return nil, failed end

  write_day(account)
  if hold.day == account.day then redis.call('HINCRBY', account.key, 'room', hold.amount) end
  if freed then
    move_budgets(budgets_key, freed, 'room_field', hold.amount)
    move_budgets(budgets_key, freed, 'held_field', negated(hold.amount))
  end
  if funds then
    funds:add(back)
    funds:unpin(back)
    funds:expire(lapsed)
    funds:settle()
  else
    redis.call('HINCRBY', account.key, 'gl', hold.amount)
    redis.call('HINCRBY', account.key, 'gh', negated(hold.amount))
  end
  return effect, brief
end
