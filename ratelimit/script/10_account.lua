-- Accounts and their fields. KEYS has a pair for every account that the call
-- may touch: its hash and the hash of its bookings; then the reservation's key.
-- What changes is written at the end, at once, so that a call that turns out
-- to lack something has changed nothing.
local call, format, find, sub, match = redis.call, string.format, string.find, string.sub, string.match
local gmatch, concat, floor, max, min = string.gmatch, table.concat, math.floor, math.max, math.min

local NEVER = -1
local H = cjson.decode(ARGV[2])
local names = H[1]
local accounts, kinds = {}, {}
local clock = now -- the server's, before any account's

-- Names of the fields that are not counters:
--   n the latest time of writing   h holds    l the account that this one stands for
--   t the bookings in short        x when the hash may be forgotten; 0 never
local function open(i)
  local a = accounts[i]
  if not a then
    a = {key = KEYS[2 * i - 1], books = KEYS[2 * i], name = names[i], f = {}, c = {}, dirty = {}, ends = 0}
    accounts[i] = a
  end
  return a
end

-- fetch reads what was not read yet of the fields listed from first on.
local function fetch(a, list)
  local f, ask, n = a.f, {}, 0
  for i = 1, #list do
    if f[list[i]] == nil then
      n = n + 1
      ask[n] = list[i]
    end
  end
  for from = 1, n, 4000 do
    local to = min(from + 3999, n)
    local got = call('HMGET', a.key, unpack(ask, from, to))
    for i = from, to do
      f[ask[i]] = got[i - from + 1]
    end
  end
end

-- head reads an account's own fields along with others.
local function head(a, list)
  list[#list + 1] = 'n'
  list[#list + 1] = 'h'
  list[#list + 1] = 'l'
  list[#list + 1] = 't'
  list[#list + 1] = 'x'
  fetch(a, list)
  local high = a.f.n
  if high then
    high = tonumber(high)
    if high > now then
      now = high
    end
  end
end

local function set(a, field, text)
  a.f[field] = text
  a.dirty[field] = true
end

-- counter returns what a limit has counted, or false.
local function counter(a, k, field)
  local c = a.c[field]
  if c == nil then
    local text = a.f[field]
    if text == nil then
      text = call('HGET', a.key, field)
      a.f[field] = text
    end
    c = text and k.parse(text)
    a.c[field] = c
  end
  return c
end

-- lingers is how long everything is kept beyond the end of what it counts:
-- 32 days, more than the longest month. Expiry only tidies.
local lingers = 2764800000

-- flush writes what changed.
local function flush(a)
  local put, n, gone, m = {'n', now}, 2, {}, 0
  for field, k in pairs(a.dirty) do
    local text
    if k == true then
      text = a.f[field]
    else
      text = k.text(a.c[field])
      a.f[field] = text
    end
    if text then
      put[n + 1], put[n + 2] = field, text
      n = n + 2
    else
      m = m + 1
      gone[m] = field
    end
  end
  if n == 2 and m == 0 then
    return
  end
  -- When it may be forgotten: moved in steps of a week.
  local x = a.f.x
  local stay = x == '0' or a.ends == NEVER
  if not x or x ~= '0' then
    if stay then
      put[n + 1], put[n + 2] = 'x', '0'
      n = n + 2
    else
      local ends = max(a.ends, now) + lingers
      stay = x and tonumber(x) >= ends and 'yes'
      if not stay then
        ends = ends + 604800000
        put[n + 1], put[n + 2] = 'x', ends
        n = n + 2
        x = ends
      end
    end
  else
    stay = 'yes'
  end
  for from = 1, n, 4000 do
    call('HSET', a.key, unpack(put, from, min(from + 3999, n)))
  end
  for from = 1, m, 4000 do
    call('HDEL', a.key, unpack(gone, from, min(from + 3999, m)))
  end
  if not stay then
    call('PEXPIRE', a.key, x - now)
  elseif stay == true then
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
    if a.ends == NEVER or a.f.x == '0' then
      call('PERSIST', a.books)
    else
      call('PEXPIRE', a.books, max(a.ends - now, 0) + 2 * lingers)
    end
  end
  a.dirty, a.booked = {}, nil
end

-- crosses reports whether taking cost brings used to the mark or past it.
local function crosses(mark, used, cost)
  return mark > 0 and used < mark and mark <= used + cost
end
