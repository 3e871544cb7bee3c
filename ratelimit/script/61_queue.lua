-- The bookings of one account, in the order of their slots. A later arrival
-- never overtakes an earlier booking on a limit for which that booking waits:
-- the tail of a counter is the last slot booked because it had no room.
-- In short (field t): the last order, the first slot or less, how many, and the
-- tails. So a request reads no booking, unless one was abandoned or has to move.

local function short(a)
  local s = a.short
  if s == nil then
    s = false
    local text = a.f.t
    if text then
      local order, first, count, rest = match(text, '^(%d+),(%-?%d+),(%d+)(.*)$')
      s = {order = tonumber(order), first = tonumber(first), count = tonumber(count), tails = {}}
      for at, field in gmatch(rest, '\t(%d+) ([^\t]+)') do
        s.tails[field] = tonumber(at)
      end
    end
    a.short = s
  end
  return s
end

local function before(x, y)
  return x.slot < y.slot or x.slot == y.slot and x.order < y.order
end

-- queue reads the bookings. Those that could not be moved wait, apart, for
-- whoever fires them, an hour at most.
local function queue(a)
  if not a.list then
    local list, moot, got = {}, {}, call('HGETALL', a.books)
    for i = 1, #got, 2 do
      local res = unpacked(got[i], got[i + 1])
      if res.state == 'B' then
        list[#list + 1] = res
      elseif res.arrived + 3600000 < now then
        a.booked = a.booked or {}
        a.booked[res.id] = false
      else
        moot[res.id] = res
      end
    end
    table.sort(list, before)
    a.list, a.moot = list, moot
  end
  return a.list
end

local function raise(s, res)
  local ch = res.charges
  local fields
  for i = 1, #ch, 6 do
    if ch[i + 3] == 1 then
      fields = fields or fieldsOf(res)
      local f = fields[ch[i]]
      if find(f, '|', -1, true) then -- without a key
        s.tails[f] = max(s.tails[f] or 0, res.slot)
      end
    end
  end
end

-- shorten notes the bookings in short again.
local function shorten(a)
  local s = short(a)
  if not s or s.count == 0 then
    if a.f.t then
      set(a, 't', false)
    end
    a.short = false
    return
  end
  local t = {format('%d,%d,%d', s.order, s.first, s.count)}
  for field, at in pairs(s.tails) do
    t[#t + 1] = format('%d %s', at, field)
  end
  set(a, 't', concat(t, '\t'))
end

local function rebuild(a, s)
  local list = queue(a)
  s.tails = {}
  for i = 1, #list do
    raise(s, list[i])
  end
  s.first = list[1] and list[1].slot or 0
end

local function book(a, id, text)
  a.booked = a.booked or {}
  a.booked[id] = text
end

-- enqueue adds a booking.
local function enqueue(a, res)
  local s = short(a)
  if not s then
    s = {order = 0, first = res.slot, count = 0, tails = {}}
    a.short = s
  end
  s.order, s.first, s.count = max(s.order, res.order), min(s.first, res.slot), s.count + 1
  raise(s, res)
  local list = a.list
  if list then
    local i = #list
    while i > 0 and before(res, list[i]) do
      i = i - 1
    end
    table.insert(list, i + 1, res)
  end
  book(a, res.id, pack(res))
  shorten(a)
end

-- dequeue takes a booking off the books.
local function dequeue(a, res)
  local s = short(a)
  local last = false
  if s then
    for _, at in pairs(s.tails) do
      last = last or at == res.slot
    end
    s.count = s.count - 1
    if last and s.count > 0 then
      queue(a)
    end
  end
  if a.list then
    for i = 1, #a.list do
      if a.list[i].id == res.id then
        table.remove(a.list, i)
        break
      end
    end
    if s then
      rebuild(a, s)
    end
  end
  book(a, res.id, false)
  shorten(a)
end

local function nextOrder(a)
  local s = short(a)
  return max(ordinal, s and s.order + 1 or 0)
end
