-- Accounts and their fields. KEYS has a pair for every account that the call
-- may touch: its hash and the hash of its bookings; then the reservation's key.
-- What changes is written at the end, at once, so that a call that turns out
-- to lack something has changed nothing.
local H = decode(ARGV[2])
local names = H[1]
local accounts, kinds = {}, {}
-- asked is what the demands of an attempt have in common: me (the account), id,
-- frac, the place in the queue (0 its end), and gaps: who has a place may use a gap
-- before those behind it, because that is only for the better.
local asked = {}
local clock = now -- the server's, before any account's

-- Names of the fields that are not counters:
--   n the latest time of writing   l the account that this one stands for
--   h holds    g gifts    s scopes whose counters may name its recipients
--   t the bookings in short        x when the hash may be forgotten; 0 never
--   k|KEY what is known of a recipient    m|NUMBER the message of that number
local function open(i)
  local a = accounts[i]
  if not a then
    -- The fields that are nil make room for those that a call reads.
    a = {
      key = KEYS[2 * i - 1], books = KEYS[2 * i], name = names[i], r = {}, ends = 0,
      f = {n = nil, h = nil, l = nil, t = nil, x = nil, g = nil, i = nil, j = nil, k = nil, m = nil, o = nil, p = nil, q = nil, u = nil},
      c = {i = nil, j = nil, k = nil, l = nil, m = nil, n = nil, o = nil, p = nil},
      dirty = {i = nil, j = nil, k = nil, l = nil, m = nil, n = nil, o = nil, p = nil},
      short = nil, holds = nil, headed = nil, grew = nil, whole = nil,
    }
    accounts[i] = a
  end
  return a
end

-- fetch reads those of the fields listed that were not read yet.
local function fetch(a, list)
  local f, n = a.f, #list
  if n == 0 then
    return
  end
  if n > 4000 then
    local rest = {}
    for i = 4001, n do
      rest[i - 4000] = list[i]
    end
    fetch(a, rest)
    n = 4000
  end
  local got = call('HMGET', a.key, unpack(list, 1, n))
  for i = 1, n do
    local field = list[i]
    if f[field] == nil then
      f[field] = got[i]
    end
  end
end

-- head reads an account's own fields along with others.
local function head(a, list)
  local n = #list
  list[n + 1], list[n + 2], list[n + 3], list[n + 4], list[n + 5], list[n + 6] = 'n', 'h', 'l', 't', 'x', 'g'
  fetch(a, list)
  for i = n + 6, n + 1, -1 do
    list[i] = nil
  end
  local high = a.f.n
  if high then
    high = tonumber(high)
    if high > now then
      now = high
    end
  end
  a.headed = true
end

local function get(a, field)
  local text = a.f[field]
  if text == nil then
    text = call('HGET', a.key, field)
    a.f[field] = text
  end
  return text
end

local function set(a, field, text)
  a.f[field] = text
  a.dirty[field] = true
end

-- lasts notes until when something of the account counts.
local function lasts(a, ends)
  if ends == NEVER or a.ends == NEVER or ends >= FOREVER then
    a.ends = NEVER
  elseif ends > a.ends then
    a.ends = ends
  end
end

-- counter returns what a limit has counted, or false.
local function counter(a, k, field)
  local c = a.c[field]
  if c == nil then
    local text = get(a, field)
    c = text and k.parse(text)
    a.c[field] = c
  end
  return c
end

-- ensure is counter, makes it where it is missing, and notes that it changes.
local function ensure(a, k, field)
  local c = counter(a, k, field)
  if not c then
    c = k.new()
    a.c[field] = c
    if sub(field, -1) ~= '|' then
      a.grew = (a.grew or 0) + 1
    end
  end
  a.dirty[field] = k
  return c
end

-- crosses reports whether taking cost brings used to the mark or past it.
local function crosses(mark, used, cost)
  return mark > 0 and used < mark and mark <= used + cost
end

-- json writes a value. Names were escaped by the client: none has a quote.
local function json(v)
  local t = type(v)
  if t == 'number' then
    return format('%d', v)
  elseif t == 'string' then
    return '"' .. v .. '"'
  elseif t == 'boolean' then
    return v and '1' or '0'
  end
  local list = {}
  if #v > 0 or next(v) == nil then
    for i = 1, #v do
      list[i] = json(v[i])
    end
    return '[' .. concat(list, ',') .. ']'
  end
  for name, e in pairs(v) do
    list[#list + 1] = '"' .. name .. '":' .. json(e)
  end
  return '{' .. concat(list, ',') .. '}'
end

-- flush writes what changed of an account.
local function flush(a)
  local dirty = a.dirty
  if next(dirty) == nil and not a.booked then
    return
  end
  local stamp = format('%d', now)
  local put, n, gone, m = {'n', stamp}, 2, {}, 0
  dirty.n = nil
  for field, k in pairs(dirty) do
    local text
    if k == true then
      text = a.f[field]
    elseif k == 'r' then
      local r = a.r[field]
      if r[1] ~= '' or r[2] ~= 0 or r[3] ~= 0 or #r[4] > 0 or #r[5] > 0 or #r[6] > 0 then
        text = json(r)
      end
    else
      text = a.c[field]
      text = text and k.text(text)
    end
    if text then
      put[n + 1], put[n + 2] = field, text
      n = n + 2
    else
      m = m + 1
      gone[m] = field
    end
  end
  -- When it may be forgotten: put off in steps of a week.
  local x, set, free = a.f.x, nil, nil
  if x ~= '0' then
    if a.ends == NEVER then
      put[n + 1], put[n + 2], free = 'x', '0', x
      n = n + 2
    else
      local ends = (a.ends > now and a.ends or now) + LINGERS
      if not x or tonumber(x) < ends then
        set = ends + 604800000
        put[n + 1], put[n + 2] = 'x', format('%d', set)
        n = n + 2
      end
    end
  end
  for from = 1, n, 4000 do
    call('HSET', a.key, unpack(put, from, from + 3999 < n and from + 3999 or n))
  end
  for from = 1, m, 4000 do
    call('HDEL', a.key, unpack(gone, from, from + 3999 < m and from + 3999 or m))
  end
  if set then
    call('PEXPIRE', a.key, format('%d', set - now))
  elseif free then
    call('PERSIST', a.key)
  end
  if a.booked then
    for id, text in pairs(a.booked) do
      if text then
        call('HSET', a.books, id, text)
      else
        call('HDEL', a.books, id)
      end
    end
    if a.ends == NEVER or x == '0' then
      call('PERSIST', a.books)
    else
      call('PEXPIRE', a.books, format('%d', (a.ends > now and a.ends - now or 0) + 2 * LINGERS))
    end
    a.booked = nil
  end
  a.dirty = {}
end

-- need ends the call: it must be made again with an account that is missing.
local function need(name, alias)
  error({need = name, alias = alias}, 0)
end

-- of returns an account of the call by its name.
local function of(name)
  for i = 1, #names do
    if names[i] == name then
      local a = open(i)
      if not a.headed then
        head(a, {})
      end
      return a
    end
  end
  need(name)
end
