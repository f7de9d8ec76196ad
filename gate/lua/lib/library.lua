-- The library itself: registering scripts, kept results, and the layouts of stored forms.
--
-- Files stand in the order of LIBRARY_ORDER (gate/store/script_library.py); each uses only what
-- stands above it. While Redis loads the library, string methods are all of Lua that is at hand.

-- Registers a script. The digest in its name lets gates of different versions share a Redis.
local function register(name, callback, flags)
  redis.register_function({
    function_name = name .. '_' .. LIBRARY_DIGEST,
    callback = callback,
    flags = flags or {},
  })
end

local KEPT_RESULTS = 1024

-- Returns a function of one text that keeps its newest results for the calls to come.
local function keep_results(compute)
  local results, count = {}, 0
  return function(text)
    local result = results[text]
    if result then return result end
    if count == KEPT_RESULTS then
      results, count = {}, 0
    end
    result = compute(text)
    results[text] = result
    count = count + 1
    return result
  end
end

-- Reads the template of a stored form: the names of the fields, with the separators between them.
-- The last field takes the rest of the text, every other one ends at its separator.
local function layout(template)
  local names, separators, pattern = {}, {}, '^'
  for name, separator in template:gmatch('([%w_]+)([^%w_]?)') do
    names[#names + 1] = name
    separators[#separators + 1] = separator
    local value = separator == ' ' and '(%S+)' or '([^' .. separator .. ']+)' -- %S is the faster
    pattern = pattern .. (separator == '' and '(.*)' or value .. separator)
  end
  return {names = names, separators = separators, pattern = pattern .. '$'}
end

-- Puts the fields of a stored text into a table, by name.
local function decode(form, text, record)
  local values = {text:match(form.pattern)}
  for i, name in ipairs(form.names) do record[name] = values[i] end
  return record
end

-- Writes the fields of a table as the stored text.
local function encode(form, record)
  local texts = {}
  for i, name in ipairs(form.names) do
    texts[2 * i - 1] = record[name]
    texts[2 * i] = form.separators[i]
  end
  return table.concat(texts)
end

-- Reads a list of stored texts, none of them empty.
local function decode_list(form, separator, text)
  local records = {}
  for each in text:gmatch('[^' .. separator .. ']+') do
    records[#records + 1] = decode(form, each, {})
  end
  return records
end

local function encode_list(form, separator, records)
  local texts = {}
  for i, record in ipairs(records) do texts[i] = encode(form, record) end
  return table.concat(texts, separator)
end

-- Returns a function that returns the next so many arguments.
local function reader(arguments, last_read)
  return function(count)
    local first = last_read + 1
    last_read = last_read + count
    return unpack(arguments, first, last_read)
  end
end
