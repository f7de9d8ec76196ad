-- Reads the provider's usage on its way to the client, and keeps requests to what their hold pays for.
--
-- On the way in: asks for usage at the end of OpenAI's streams, and caps the tokens of output at the header
-- x-creditgate-max-output-tokens, which the gate sets where a hold pays for less than was asked.
-- On the way back: leaves in the dynamic metadata "creditgate" the first and the last usage object of the response, as
-- text, the service tier that the provider says it served, and the number of events. A usage object counts at its exact place only: what a model says, or a tool echoes,
-- is never taken for one. An error of this file lets request and response pass unchanged.

local CAP_HEADER = "x-creditgate-max-output-tokens"
local NAMESPACE = "creditgate"
local MOST_BYTES = 4 * 1024 * 1024 -- of a response's text that is kept to be read
local CAP_KEYS = { max_tokens = true, max_completion_tokens = true, max_output_tokens = true }
local PARENTS = { message = true, response = true }

-- Returns the position after the string that begins at `first`.
local function after_string(text, first)
  local at = first + 1
  while true do
    local found = text:find('["\\]', at)
    if not found then error("a string does not end") end
    if text:byte(found) == 34 then return found + 1 end
    at = found + 2
  end
end

-- Returns the position after the value that begins at `first`.
local function after_value(text, first)
  local byte = text:byte(first)
  if byte == 34 then return after_string(text, first) end
  if byte ~= 123 and byte ~= 91 then return text:find("[%s,}%]]", first) or #text + 1 end
  local depth, at = 0, first
  while true do
    local found = text:find('["{}%[%]]', at)
    if not found then error("a value does not end") end
    local one = text:byte(found)
    at = found + 1
    if one == 34 then
      at = after_string(text, found)
    elseif one == 123 or one == 91 then
      depth = depth + 1
    else
      depth = depth - 1
      if depth == 0 then return at end
    end
  end
end

local function decoded(key)
  return (key:gsub("\\u00(%x%x)", function(hex) return string.char(tonumber(hex, 16)) end))
end

-- Calls `visit(key, first, last)` for each member of the object that begins at `first`.
local function each_member(text, first, visit)
  local at = text:find("[^%s]", first + 1)
  while at and text:byte(at) == 34 do
    local key_end = after_string(text, at)
    local key = decoded(text:sub(at + 1, key_end - 2))
    local value = text:find("[^%s:]", key_end)
    if not value then error("a member has no value") end
    local value_end = after_value(text, value)
    visit(key, value, value_end - 1)
    at = text:find("[^%s,]", value_end)
  end
end

local function is_object(text, first) return text:byte(first) == 123 end

-- Returns the last usage object of an event or a response, and the service tier beside it; nil if there is no usage.
local function usage_in(text, first)
  if not text:find('"usage', first, true) then return nil end
  local usage, tier

  local function note(key, from, to)
    if key == "usage" and is_object(text, from) then
      usage = text:sub(from, to)
    elseif key == "service_tier" and text:byte(from) == 34 then
      tier = text:sub(from + 1, to - 1)
    end
  end

  each_member(text, first, function(key, from, to)
    if key == "usageMetadata" then key = "usage" end -- Google's name, which stands at the top alone
    note(key, from, to)
    if PARENTS[key] and is_object(text, from) then each_member(text, from, note) end
  end)
  return usage, usage and tier
end

local function usage_of_document(text)
  local first = text:find("[^%s]")
  if not first then return nil end
  if is_object(text, first) then return usage_in(text, first) end
  if text:byte(first) ~= 91 then return nil end
  -- Google streams without server-sent events as one array.
  local usage
  local at = text:find("[^%s]", first + 1)
  while at and is_object(text, at) do
    usage = usage_in(text, at) or usage -- Google tells no tier
    at = text:find("[^%s,]", after_value(text, at))
  end
  return usage
end

-- Returns the edits that keep the members of an object to the cap: from, to, replacement.
local function capped(text, first, keys, name, cap, edits)
  local found = false
  each_member(text, first, function(key, from, to)
    if keys[key] then
      found = true
      local asked = tonumber(text:sub(from, to))
      if not asked or asked > cap then edits[#edits + 1] = { from, to, tostring(cap) } end
    end
  end)
  if not found then edits[#edits + 1] = { first + 1, first, '"' .. name .. '":' .. cap } end
end

local function member_at(text, first, wanted)
  local found_from, found_to
  each_member(text, first, function(key, from, to)
    if key == wanted then found_from, found_to = from, to end
  end)
  return found_from, found_to
end

local function cap_edits(path, text, first, cap, edits)
  if path:find(":generateContent", 1, true) or path:find(":streamGenerateContent", 1, true) then
    local generation = member_at(text, first, "generationConfig")
    if generation and is_object(text, generation) then
      capped(text, generation, { maxOutputTokens = true }, "maxOutputTokens", cap, edits)
    else
      edits[#edits + 1] = { first + 1, first, '"generationConfig":{"maxOutputTokens":' .. cap .. "}" }
    end
    return
  end
  local name = "max_tokens"
  if path:find("/responses", 1, true) then name = "max_output_tokens" end
  capped(text, first, CAP_KEYS, name, cap, edits)
end

-- OpenAI reports the usage of a stream only where the request asks for it.
local function usage_edits(path, text, first, edits)
  if not path:find("/completions", 1, true) then return end
  local stream, stream_end = member_at(text, first, "stream")
  if not stream or text:sub(stream, stream_end) ~= "true" then return end
  local options, options_end = member_at(text, first, "stream_options")
  if not options then
    edits[#edits + 1] = { first + 1, first, '"stream_options":{"include_usage":true}' }
  elseif not is_object(text, options) then
    edits[#edits + 1] = { options, options_end, '{"include_usage":true}' }
  else
    local include, include_end = member_at(text, options, "include_usage")
    if include then
      edits[#edits + 1] = { include, include_end, "true" }
    else
      edits[#edits + 1] = { options + 1, options, '"include_usage":true' }
    end
  end
end

-- Returns the text with the edits made; an insertion gets a comma where members follow.
local function edited(text, edits)
  table.sort(edits, function(a, b) return a[1] < b[1] end)
  local parts, at = {}, 1
  for number, edit in ipairs(edits) do
    local from, to, replacement = edit[1], edit[2], edit[3]
    parts[#parts + 1] = text:sub(at, from - 1)
    parts[#parts + 1] = replacement
    local after = edits[number + 1]
    local is_insertion = to < from
    local is_followed = after and after[1] == from or not text:find("^%s*}", from)
    if is_insertion and is_followed then parts[#parts + 1] = "," end
    at = to + 1
  end
  parts[#parts + 1] = text:sub(at)
  return table.concat(parts)
end

-- Returns the request's body as it is to go to the provider.
function creditgate_request_body(path, text, cap)
  local first = text:find("[^%s]")
  if not first or not is_object(text, first) then return text end
  local edits = {}
  usage_edits(path, text, first, edits)
  if cap then cap_edits(path, text, first, cap, edits) end
  if #edits == 0 then return text end
  return edited(text, edits)
end

-- Returns a reader of a response: call it with each chunk, and with nil at the end. It returns the usage objects that
-- were found, in order, the number of events so far, and the service tier told last, if any.
function creditgate_usage_reader(is_event_stream)
  local parts, size, events, dropped = {}, 0, 0, false
  local tier

  local function keep(text)
    if size + #text > MOST_BYTES then parts, size, dropped = {}, 0, true end
    if not dropped then
      parts[#parts + 1] = text
      size = size + #text
    end
  end

  local function kept()
    local text = table.concat(parts)
    parts, size, dropped = {}, 0, false
    return text
  end

  local function note_line(line, found)
    if line:sub(1, 5) ~= "data:" then return end
    local first = line:find("[^%s]", 6)
    if not first or not is_object(line, first) then return end
    events = events + 1
    local ok, usage, told_tier = pcall(usage_in, line, first)
    if ok and usage then
      found[#found + 1] = usage
      tier = told_tier or tier
    end
  end

  local function read_events(chunk, found)
    local at = 1
    while true do
      local stop = chunk:find("\n", at, true)
      if not stop then break end
      keep(chunk:sub(at, stop - 1))
      note_line(kept(), found)
      at = stop + 1
    end
    keep(chunk:sub(at))
  end

  return function(chunk)
    local found = {}
    if is_event_stream and chunk then
      read_events(chunk, found)
    elseif is_event_stream then
      note_line(kept(), found)
    elseif chunk then
      keep(chunk)
    elseif not dropped then
      local ok, usage, told_tier = pcall(usage_of_document, kept())
      if ok and usage then
        found[1], tier = usage, told_tier
      end
    end
    return found, events, tier
  end
end

function envoy_on_request(request)
  local headers = request:headers()
  local cap = tonumber(headers:get(CAP_HEADER) or "")
  headers:remove(CAP_HEADER)
  headers:remove("accept-encoding") -- a compressed response cannot be read
  local path = headers:get(":path") or ""
  local body = request:body()
  if not body or body:length() == 0 then return end
  local text = body:getBytes(0, body:length())
  local changed = creditgate_request_body(path, text, cap)
  if changed ~= text then
    local size = body:setBytes(changed)
    headers:replace("content-length", size)
  end
end

function envoy_on_response(response)
  local status = tonumber(response:headers():get(":status") or "")
  if not status or status < 200 or status > 299 then return end
  local kind = response:headers():get("content-type") or ""
  local read = creditgate_usage_reader(kind:find("text/event-stream", 1, true) ~= nil)
  local is_first = true

  local function note(found, events, tier)
    -- Asked for anew each time: what was kept over a yield is dead.
    local metadata = response:streamInfo():dynamicMetadata()
    metadata:set(NAMESPACE, "events", tostring(events))
    if #found == 0 then return end
    if is_first then metadata:set(NAMESPACE, "usage_first", found[1]) end
    is_first = false
    metadata:set(NAMESPACE, "usage", found[#found])
    if tier and tier ~= "" then metadata:set(NAMESPACE, "service_tier", tier) end
  end

  for chunk in response:bodyChunks() do
    note(read(chunk:getBytes(0, chunk:length())))
  end
  note(read(nil))
end
