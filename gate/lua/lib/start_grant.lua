-- A grant becomes effective: its credits join what may be spent, pay debt where they are to, and end graces.

-- Whether so much more leaves something to spend, and there is a grace that has begun.
local function ends_graces(account, amount, scoped)
  if scoped or not account.has.g then return false end
  local begun = false
  for each in redis.call('HGET', account.key, 'gr'):gmatch('[^\n]+') do
    begun = begun or each:match('^%S+ %S+ (%S+)') ~= '-'
  end
  return begun and less('0', exact_sum(account.key, account.gl, account.ol, amount))
end

-- Writes; the entry that says so stands in the journal. The grant is in the hash beside the account already, as scheduled.
local function start_grant(account, funds, n, amount, graces_end)
  local it = funds.all[n]
  it.state, it.left = 'a', amount
  funds:write(it)
  if not it.scoped then redis.call('HINCRBY', account.key, 'ol', amount) end
  account.tot = exact_sum(account.key, account.tot, amount)
  write_settings(account)
  if it.pays == '1' then funds:pay_debt(n) end
  if graces_end then
    local graces = redis.call('HGET', account.key, 'gr'):gsub('([^\n]-) ([^\n]-) [^\n]- ([^\n]*)', '%1 %2 - %3')
    redis.call('HSET', account.key, 'gr', graces)
  end
  funds.changed[n] = true
end
