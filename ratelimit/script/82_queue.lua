-- The bookings themselves, which few calls read; see 61_queue.lua.
local function queues()
  local x = X()
  local set, lasts, of, pack, R, short =
    x.set, x.lasts, x.of, x.pack, x.R, x.short
  local Q = {}

  local function before(x, y)
    return x.slot < y.slot or x.slot == y.slot and x.order < y.order
  end

  -- load reads the bookings. Those that could not be moved wait, apart, for
  -- whoever fires them, an hour at most.
  function Q.load(a)
    if not a.list then
      local list, moot, guests, texts = {}, {}, {}, {}
      local got = a.books and call('HGETALL', a.books) or {}
      for i = 1, #got, 2 do
        texts[got[i]] = got[i + 1]
      end
      for id, text in pairs(a.booked or {}) do -- by this call
        texts[id] = text or nil
      end
      for id, text in pairs(texts) do
        if sub(text, 1, 1) == 'g' then
          local slot, order, fields = match(text, '^g,(%d+),(%d+)\n(.*)$')
          guests[id] = {slot = tonumber(slot), order = tonumber(order), fields = fields}
        else
          local res = R().unpack(id, text)
          if res.state == 'B' then
            list[#list + 1] = res
          elseif res.arrived + 3600000 < now then
            a.booked = a.booked or {}
            a.booked[id] = false
          else
            moot[id] = res
          end
        end
      end
      sort(list, before)
      a.list, a.moot, a.guests = list, moot, guests
    end
    return a.list
  end

  -- waits lists the account-wide fields of an account that a booking waits for.
  local function waits(res, scope)
    local fields, list, any = R().fields(res), {}, false
    for _, ch in ipairs(res.charges) do
      if ch[4] % 2 == 1 then
        local s, f = match(fields[ch[1]], '^([^\v]*)\v(.*)$')
        if s == scope then
          any = true
          f = f or fields[ch[1]]
          if sub(f, -1) == '|' then
            list[#list + 1] = f
          end
        end
      end
    end
    return list, any
  end

  local function raise(tails, fields, slot)
    for _, f in ipairs(fields) do
      if not tails[f] or tails[f] < slot then
        tails[f] = slot
      end
    end
  end

  local function split(text)
    local list = {}
    for f in gmatch(text, '[^\t]+') do
      list[#list + 1] = f
    end
    return list
  end

  -- shorten notes the bookings in short again.
  local function shorten(a)
    local s = a.short
    if not s or s.count + s.guests == 0 then
      if a.f.t then
        set(a, 't', false)
      end
      a.short = false
      return
    end
    local t = {format('%d,%d,%d,%d', s.order, s.first, s.count, s.guests)}
    for field, at in pairs(s.tails) do
      t[#t + 1] = format('%d %s', at, field)
    end
    set(a, 't', concat(t, '\t'))
  end

  -- tails computes them from the bookings before a place; 0 is the end.
  function Q.tails(a, place)
    local tails = {}
    for _, res in ipairs(Q.load(a)) do
      if place == 0 or res.order < place then
        raise(tails, waits(res), res.slot)
      end
    end
    for _, g in pairs(a.guests) do
      if place == 0 or g.order < place then
        raise(tails, split(g.fields), g.slot)
      end
    end
    return tails
  end

  local function rebuild(a)
    local s, list = a.short, Q.load(a)
    s.tails = Q.tails(a, 0)
    s.first = list[1] and list[1].slot or 0
    s.count = #list
  end

  local function book(a, id, text)
    a.booked = a.booked or {}
    a.booked[id] = text
  end
  Q.book = book

  local function begun(a, slot)
    local s = short(a)
    if not s then
      s = {order = 0, first = slot, count = 0, guests = 0, tails = {}}
      a.short = s
    end
    return s
  end

  -- scopes calls f for every scope whose counters a booking waits for.
  local function scopes(a, res, f)
    local seen = {}
    for _, name in ipairs(R().fields(res)) do
      local scope = match(name, '^([^\v]*)\v')
      if scope and not seen[scope] then
        seen[scope] = true
        local fields, any = waits(res, scope)
        if any then
          f(of(scope), fields)
        end
      end
    end
  end

  -- add takes in a booking.
  function Q.add(a, res)
    local s = begun(a, res.slot)
    s.first = (s.count == 0 or res.slot < s.first) and res.slot or s.first
    s.order, s.count = res.order > s.order and res.order or s.order, s.count + 1
    raise(s.tails, waits(res), res.slot)
    if a.list then
      local i = #a.list
      while i > 0 and before(res, a.list[i]) do
        i = i - 1
      end
      insert(a.list, i + 1, res)
    end
    book(a, res.id, pack(res))
    shorten(a)
    scopes(a, res, function(o, fields)
      local os = begun(o, 0)
      if o.list then
        if not o.guests[res.id] then
          os.guests = os.guests + 1
        end
        o.guests[res.id] = {slot = res.slot, order = res.order, fields = concat(fields, '\t')}
      else
        os.guests = os.guests + 1
      end
      raise(os.tails, fields, res.slot)
      book(o, res.id, format('g,%d,%d\n', res.slot, res.order) .. concat(fields, '\t'))
      shorten(o)
      lasts(o, res.slot)
    end)
  end

  local function isTail(s, slot)
    for _, at in pairs(s.tails) do
      if at == slot then
        return true
      end
    end
    return false
  end

  -- take takes a booking off the books.
  function Q.take(a, res)
    local s = short(a)
    if s then
      if isTail(s, res.slot) then
        Q.load(a)
      end
      s.count = s.count - 1
      if a.list then
        for i = 1, #a.list do
          if a.list[i].id == res.id then
            remove(a.list, i)
            break
          end
        end
        rebuild(a)
      end
    end
    book(a, res.id, false)
    shorten(a)
    scopes(a, res, function(o)
      local os = short(o)
      if os then
        Q.load(o)
        if o.guests[res.id] then
          o.guests[res.id] = nil
          os.guests = os.guests - 1
        end
        rebuild(o)
      end
      book(o, res.id, false)
      shorten(o)
    end)
  end

  function Q.order(a)
    local s = short(a)
    return s and s.order + 1 > ordinal and s.order + 1 or ordinal
  end

  return Q
end
