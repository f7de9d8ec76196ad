-- The journal: the first write of every script that moves money. Its id is epoch-seq, dense within the epoch; the store gives the
-- sequence. It fails if a newer epoch has begun, or if the journal is gone, and then nothing has been written: that is how a shard is
-- fenced.

-- nil when written; otherwise the reply that the script must return.
local function journal(key, epoch, effect, method, request, pricing)
  local id = redis.pcall('XADD', key, 'NOMKSTREAM', epoch .. '-*', 'e', effect, 'm', method, 'q', request, 'p', pricing)
  if not id then return {'stale'} end
  if type(id) ~= 'table' then return nil end
  if id.err and id.err:find('equal or smaller', 1, true) then return {'stale'} end
  return id
end

-- What an entry that stands in the journal already brought about by itself: an entry of its own, by the sums as they are now.
local function journal_consequence(key, account, kind, amount, extras, flags)
  local now = stored_account(account.key, account.ep)
  now.at = account.at
  local effect = effect_line(kind, now, amount, {}, flags or '', extras)
  redis.call('XADD', key, account.ep .. '-*', 'e', effect, 'm', 'consequence', 'q', account.key:match(':a:(.*)$'), 'p', '')
end
