-- Replays: what a request id did, kept as "fingerprint brief" (in_brief).

-- nil for an id not seen before; otherwise the reply that the script must return.
local function replay(key, fingerprint)
  local record = redis.call('GET', key)
  if not record then return nil end
  local known, brief = record:match('^(%S+) ?(.*)$')
  if known ~= fingerprint then return {'refused', 'REQUEST_ID_REUSED'} end
  return {'replayed', brief}
end

local function remember(key, fingerprint, brief, ttl_ms)
  redis.call('SET', key, fingerprint .. ' ' .. brief, 'PX', ttl_ms)
end
