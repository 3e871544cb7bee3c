-- Rolling: so many within the last span. See rolling.go for the law.
-- Field: first slot, span, warned, total, 0, width, pots; then the log.
-- Parameters: span, extras.
local function rolling(k)
  k.params, k.stride, k.extras = 2, 3, true
  local L = L()
  local at, since = L.at, L.since

  function k.new()
    return L.new(1)
  end

  function k.parse(text)
    return L.parse(text, 1)
  end

  k.text = L.text

  -- exact reports whether no time after now was rounded up; see rolling.go.
  local function exact(c, span)
    local g, later, rounded = floor(span / 96), 0, 0
    for i = c.n, 1, -1 do
      local t = at(c, i)
      if t <= now then
        break
      end
      later = later + 1
      if g > 1 and t % g == 0 then
        rounded = rounded + 1
      end
    end
    return c.n < 2000 and (rounded == 0 or g < 1000 and rounded < later)
  end

  -- gap is the earliest time of who has a place in the queue; see rollingGap.
  local function gap(c, span, allow, cost, slot)
    local used, past = 0, 0
    for i = 1, c.n do
      local b, n = at(c, i)
      while past < c.n do
        local t, m = at(c, past + 1)
        if t >= b + span then
          break
        end
        used, past = used + m, past + 1
      end
      if b > slot then
        local own = 0
        for j = i, c.n do
          local t, m = at(c, j)
          if t >= slot + span then
            break
          end
          own = own + m
        end
        if own + cost <= allow then
          return slot
        end
        slot = b + span
      elseif b + span > slot and used + cost > allow then
        slot = b + span
      end
      used = used - n
    end
    return slot
  end

  function k.earliest(c, d, slot)
    local span = d.A[d.b]
    if d.plain then
      local allow, cost = d.allow, d.cost
      if cost > allow then
        return NEVER
      end
      if not c then
        return slot
      end
      if asked.gaps and asked.place > 0 and allow <= 2000 and exact(c, span) then
        return gap(c, span, allow, cost, slot)
      end
      local used, i = c.total, 1
      while used + cost > allow and i <= c.n do
        local t, n = at(c, i)
        used, i = used - n, i + 1
        if t + span > slot then
          slot = t + span
        end
      end
      return slot
    end
    return P().firstRoom(d, slot, function(t)
      if not c then
        return 0, FOREVER
      end
      local used, _, oldest = since(c, t - span)
      return used, oldest and oldest + span or FOREVER
    end)
  end

  function k.charge(c, d, cost, slot)
    local span = d.A[d.b]
    L.prune(c, now - span)
    c.span = span
    local split, rest, warn = nil, cost, false
    if d.warn > 0 or not d.plain then
      local used = since(c, slot - span)
      if not d.plain then
        local p = P()
        local free = p.allow(d, slot) - used
        rest, split = p.pay(d, cost, slot, free > 0 and free or 0, 0)
      end
      warn = crosses(d.warn, used, rest) and c.warned <= slot - span
    end
    if d.allow > 2000 or c.n >= 2000 then
      slot = L.coarse(span, slot)
    end
    if warn then
      c.warned = slot
    end
    if rest > 0 then
      L.add(c, slot, rest)
    end
    return format('%d', slot), warn, slot + span, cost, split
  end

  function k.use(c, d, slot)
    local used, resets, _, oldest = 0, 0
    if c then
      used, _, oldest = since(c, slot - d.A[d.b])
      resets = oldest and oldest + d.A[d.b] or 0
    end
    if d.plain then
      return used, resets
    end
    local p = P()
    local units, paid = p.held(d, slot)
    return used + paid, resets, p.allow(d, slot) + units
  end

  function k.rest()
    function k.fits(c, d, slot)
      return P().most(d) + P().free(d, slot)
    end

    function k.refund(c, cost, warned, data, split)
      cost = cost - P().unpay(c, split)
      local t = tonumber(data)
      local i = L.search(c, t)
      if not i then
        return
      end
      if warned and c.warned == t then
        c.warned = 0
      end
      local _, n = at(c, i)
      local took = cost < n and cost or n
      c.total = c.total - took
      if n > took then
        L.put(c, i, 1, t, n - took, 0)
      else
        L.drop(c, i)
      end
    end

    function k.merge(c, o)
      for i = 1, o.n do
        L.add(c, at(o, i))
      end
      c.span, c.warned = o.span > c.span and o.span or c.span, o.warned > c.warned and o.warned or c.warned
      P().merge(c, o)
    end

    function k.over(c, t)
      local last = c.warned
      if c.n > 0 then
        local latest = at(c, c.n)
        last = latest > last and latest or last
      end
      return (last == 0 or last + c.span <= t) and P().over(c, t)
    end

    function k.blank(c)
      return c.n == 0 and not (c.pots and c.pots[1])
    end
  end
end
