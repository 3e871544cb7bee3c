-- Pace: at least span between one message and the next. See pace.go for the
-- law. Field: span with its jitter, then ;at,n,fraction for every slot, sorted.
-- Parameters: span, jitter.
local function pace()
  local k = {}
  local forever = 4503599627370496

  function k.new()
    return {span = 0, n = 0, at = {}, units = {}, frac = {}}
  end

  function k.parse(text)
    local c = {span = tonumber(match(text, '^%d+')), n = 0, at = {}, units = {}, frac = {}}
    for at, n, frac in gmatch(text, ';(%d+),(%d+),(%d+)') do
      local i = c.n + 1
      c.n, c.at[i], c.units[i], c.frac[i] = i, tonumber(at), tonumber(n), tonumber(frac)
    end
    return c
  end

  function k.text(c)
    local t = {format('%d', c.span)}
    for i = 1, c.n do
      t[i + 1] = format('%d,%d,%d', c.at[i], c.units[i], c.frac[i])
    end
    return concat(t, ';')
  end

  -- last returns which slot ends last, and when. The product of jitter and
  -- fraction is taken in two parts: it may be more than a double holds.
  local function last(c, span, jitter)
    local which, latest = 0, 0
    local high = floor(jitter / 65536)
    local low = jitter - high * 65536
    for i = 1, c.n do
      local frac, n, at = c.frac[i], c.units[i], c.at[i]
      local space, ends = span + high * frac + floor(low * frac / 65536), forever
      if space <= 0 or n <= floor((forever - at) / space) then
        ends = at + n * space
      end
      if ends >= latest then
        which, latest = i, ends
      end
    end
    return which, latest
  end

  function k.earliest(c, d, cost, at)
    if c then
      local _, ends = last(c, d.A[d.b], d.A[d.b + 1])
      if ends > at then
        return ends
      end
    end
    return at
  end

  local function add(c, at, n, frac)
    local i = c.n
    while i > 0 and c.at[i] > at do
      i = i - 1
    end
    if i > 0 and c.at[i] == at then
      c.units[i], c.frac[i] = c.units[i] + n, max(c.frac[i], frac)
      return
    end
    table.insert(c.at, i + 1, at)
    table.insert(c.units, i + 1, n)
    table.insert(c.frac, i + 1, frac)
    c.n = c.n + 1
  end

  local function drop(c, i)
    table.remove(c.at, i)
    table.remove(c.units, i)
    table.remove(c.frac, i)
    c.n = c.n - 1
  end

  -- prune forgets slots that keep nobody back, but never the one that ends
  -- last, and at most 32 of the past are kept.
  local function prune(c, span, jitter)
    local past = 0
    while past < c.n and c.at[past + 1] <= now do
      past = past + 1
    end
    if past == 0 then
      return
    end
    local which = last(c, span, jitter)
    local high = floor(jitter / 65536)
    local low = jitter - high * 65536
    local o = {at = c.at, units = c.units, frac = c.frac}
    local n = 0
    c.at, c.units, c.frac = {}, {}, {}
    for i = 1, c.n do
      local at, u, frac = o.at[i], o.units[i], o.frac[i]
      local keep = i > past or i == which
      if not keep and past - i + 1 <= 32 then
        local space = span + high * frac + floor(low * frac / 65536)
        keep = space > 0 and u > floor((forever - at) / space) or at + u * space > now
      end
      if keep then
        n = n + 1
        c.at[n], c.units[n], c.frac[n] = at, u, frac
      end
    end
    c.n = n
  end

  function k.charge(c, d, cost, at, frac)
    local span, jitter = d.A[d.b], d.A[d.b + 1]
    if c.n > 0 and c.at[1] <= now then
      prune(c, span, jitter)
    end
    c.span = span + jitter
    add(c, at, cost, frac)
    return format('%d', at), false, at + min(cost * c.span, 1099511627776)
  end

  function k.refund(c, cost, warned, data)
    local at = tonumber(data)
    for i = 1, c.n do
      if c.at[i] == at then
        if c.units[i] > cost then
          c.units[i] = c.units[i] - cost
        else
          drop(c, i)
        end
        return
      end
    end
  end

  function k.use(c, d)
    if c then
      local _, ends = last(c, d.A[d.b], d.A[d.b + 1])
      if ends > now then
        return 0, ends
      end
    end
    return 0, 0
  end

  function k.merge(c, o)
    for i = 1, o.n do
      add(c, o.at[i], o.units[i], o.frac[i])
    end
    c.span = max(c.span, o.span)
  end

  function k.over(c, at)
    if c.n == 0 then
      return true
    end
    local _, ends = last(c, c.span, 0)
    return c.span > 0 and ends <= at
  end

  return k
end
