-- Thresholds of the account: "id,subject,nanos;..." in the field `lv`. One is crossed where the sum was on the one side of it before, and
-- is on the other, or at it, after; so it is crossed once a day, or once between two grants, by the sums alone.

-- Tells what was crossed when `amount` was used or taken away, just now; `today`: it counts as used today.
local function cross_levels(journal_key, account, amount, today)
  if not account.has.t or account.has.o or amount == '0' then return end
  local now = stored_account(account.key, account.ep)
  unpack_tail(now)
  local function tell(subject, window, name, level, value)
    journal_consequence(journal_key, account, 'T', '0', table.concat({subject, '-', name, window, level, value}, ','))
  end
  local used = exact_sum(account.key, now.used, negated(now.dbase))
  local used_before = today and exact_sum(account.key, used, negated(amount)) or used
  local remaining = exact_sum(account.key, now.tot, negated(now.exp), negated(now.used))
  local remaining_before = exact_sum(account.key, remaining, amount)
  for name, subject, level in (redis.call('HGET', account.key, 'lv') or ''):gmatch('([^,;]+),([^,;]+),([^,;]+)') do
    if subject == 'daily_use' then
      if less(used_before, level) and not less(used, level) then tell(subject, now.day, name, level, used) end
    elseif less(level, remaining_before) and not less(level, remaining) then
      tell(subject, now.tot, name, level, remaining)
    end
  end
end
