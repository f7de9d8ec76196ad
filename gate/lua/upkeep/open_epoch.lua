#!lua flags=allow-oom
-- open_epoch: begins an epoch of the shard by its first journal entry, epoch-0. From then on nothing of an older epoch is admitted.
--
-- KEYS[1] journal   ARGV[1] epoch   ARGV[2] method   ARGV[3] why, for the auditor
-- Returns {'ok'} | {'stale'} (this epoch, or a newer one, has begun already; nothing written).
local journal_key = KEYS[1]
local epoch, method, why = ARGV[1], ARGV[2], ARGV[3]

local id = redis.pcall('XADD', journal_key, epoch .. '-0', 'e', '', 'm', method, 'q', why, 'p', '')
if type(id) ~= 'table' then return {'ok'} end
if id.err and id.err:find('equal or smaller', 1, true) then return {'stale'} end
return id
