-- open_epoch: begins an epoch of the shard by its first journal entry, epoch-0. From then on
-- nothing of an older epoch is admitted.
--
-- KEYS[1] journal
-- KEYS[2] shard: the ledger and the store that the shard belongs to
--
-- ARGV[1] epoch
-- ARGV[2] method
-- ARGV[3] reason: why, for the auditor
-- ARGV[4] owner: as it must be, or is to be where the store is empty
-- ARGV[5] flushed: how far the ledger has come
--
-- Returns {'ok'} | {'foreign'} (the shard belongs to another ledger or store)
--   | {'stale'} (this epoch, or a newer one, has begun already). Nothing is written unless it
-- returns 'ok'.

local function open_epoch(keys, arguments)
  local journal_key, shard_key = unpack(keys)
  local epoch, method, reason, owner, flushed = unpack(arguments)

  local found = redis.call('HGET', shard_key, 'owner')
  if found and found ~= owner then return {'foreign'} end
  local id = redis.pcall(
    'XADD', journal_key, epoch .. '-0', 'e', '', 'm', method, 'q', reason, 'p', '')
  if type(id) == 'table' then
    if is_of_older_epoch(id) then return {'stale'} end
    return id
  end
  redis.call('HSET', shard_key, 'owner', owner, 'flushed', flushed)
  return {'ok'}
end

register('open_epoch', open_epoch, {'allow-oom'})
