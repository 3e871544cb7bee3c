-- What is known of a recipient, beside counters: whom it, a thread, stands for;
-- when it last replied, and became a connection (ms, 0 never); holds; the
-- charges that a reply gives back; and the fields of what it has not answered.

-- record returns it, or false where nothing is known.
local function record(a, key)
  local field = 'k|' .. key
  local r = a.r[field]
  if r == nil then
    local text = get(a, field)
    r = text and decode(text)
    a.r[field] = r
  end
  return r
end

-- recordFor makes it where it is missing, and notes that it changes.
local function recordFor(a, key)
  local r = record(a, key)
  local field = 'k|' .. key
  if not r then
    r = {'', 0, 0, {}, {}, {}}
    a.r[field] = r
  end
  a.dirty[field] = 'r'
  return r
end

-- canonical returns the recipient that a key stands for.
local function canonical(a, key)
  for _ = 1, 1000 do
    local r = record(a, key)
    if not r or r[1] == '' then
      return key
    end
    key = r[1]
  end
  error('the threads of ' .. a.name .. ' go round in a circle', 0)
end

-- threads reports whether any of these keys stands for another.
local function threads(a, keys)
  for i = 1, #keys do
    local r = record(a, keys[i])
    if r and r[1] ~= '' then
      return true
    end
  end
  return false
end

-- keyOf is the key in a field's name, keyed the name with another.
local function keyOf(field)
  return match(field, '|([^|]*)$')
end

local function keyed(field, key)
  return match(field, '^(.*|)[^|]*$') .. key
end
