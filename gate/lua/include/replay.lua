-- Replays: what a request id did, kept as "fingerprint brief"; `brief` is the second result of effect_line.

-- nil for an id not seen before; otherwise the reply that the script must return.
local function replay(key, fingerprint)
  local record = redis.call('GET', key)
  if not record then return nil end
  local cut = record:find(' ', 1, true)
  if record:sub(1, cut - 1) ~= fingerprint then return {'refused', 'REQUEST_ID_REUSED'} end
  return {'replayed', record:sub(cut + 1)}
end

local function remember(key, fingerprint, brief, ttl_ms)
  redis.call('SET', key, fingerprint .. ' ' .. brief, 'PX', ttl_ms)
end
