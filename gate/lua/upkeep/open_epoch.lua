-- open_epoch: begins an epoch of the shard by its first journal entry, epoch-0. From then on
-- nothing of an older epoch is admitted.
--
-- KEYS[1] journal
--
-- ARGV[1] epoch
-- ARGV[2] method
-- ARGV[3] reason: why, for the auditor
--
-- Returns {'ok'} | {'stale'} (this epoch, or a newer one, has begun already; nothing written).

local function open_epoch(keys, arguments)
  local journal_key = unpack(keys)
  local epoch, method, reason = unpack(arguments)

  local id = redis.pcall(
    'XADD', journal_key, epoch .. '-0', 'e', '', 'm', method, 'q', reason, 'p', '')
  if type(id) ~= 'table' then return {'ok'} end
  if is_of_older_epoch(id) then return {'stale'} end
  return id
end

register('open_epoch', open_epoch, {'allow-oom'})
