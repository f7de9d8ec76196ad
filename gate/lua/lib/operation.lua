-- Operations: changes by an administrator, durable in the ledger before they come here. Each account numbers its own, densely; `op` is
-- the last one applied. So any process may apply one again after a crash, at any later time, and it takes effect once.

-- nil when `op_seq` is the account's next; otherwise the reply that the script must return.
local function out_of_turn(account, op_seq)
  local applied = tonumber(account.op)
  if tonumber(op_seq) <= applied then return {'replayed'} end
  if tonumber(op_seq) > applied + 1 then return {'behind', account.op} end
  return nil
end

-- An operation's request id is used up for calls too; the ledger knows its content. A call's own reply that stands there stays.
local function remember_operation(key, ttl_ms)
  redis.call('SET', key, 'operation', 'NX', 'PX', ttl_ms)
end

-- When process_due_grants is to look at the account, should nobody call before: by the store's clock, or by its test clock (+inf).
local function note_due(key, account, account_id)
  if account.due == '-' then
    redis.call('ZREM', key, account_id)
  else
    redis.call('ZADD', key, account.clk == '-' and account.due or '+inf', account_id)
  end
end
