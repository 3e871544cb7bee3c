-- Lifetime: so many, ever; and Credits, which only pots pay. See lifetime.go,
-- pots.go and distinct_lifetime.go for the laws. Field: first slot, used, when
-- it warned, then pots, or the recipients with how many messages each.
-- Parameter: extras.
local function lifetime(k, distinct, credits)
  k.params, k.stride, k.extras, k.distinct = 1, distinct and 4 or 3, true, distinct

  function k.new()
    return {0, 0, 0, distinct and {}}
  end

  function k.parse(text)
    local c = decode(text)
    if not distinct then
      c.pots, c[4] = c[4], nil
    end
    return c
  end

  function k.text(c)
    local more = distinct and c[4] or c.pots
    if more and (distinct or more[1]) then
      return format('[%d,%d,%d,', c[1], c[2], c[3]) .. json(more) .. ']'
    end
    return format('[%d,%d,%d]', c[1], c[2], c[3])
  end

  local function news(c, d)
    local seen, n, own = c and c[4] or {}, 0, d.own
    for i = 1, #own do
      if not seen[own[i]] then
        n = n + 1
      end
    end
    return n
  end

  function k.earliest(c, d, at)
    local used = c and c[2] or 0
    if distinct then
      local n = news(c, d)
      return n > 0 and used + n > d.allow and NEVER or at
    end
    if d.plain and not credits then
      return used + d.cost > d.allow and NEVER or at
    end
    local p = P()
    while at < FOREVER do
      local left = credits and 0 or d.allow - used
      if (left > 0 and left or 0) + p.free(d, at) >= d.cost then
        return at
      end
      at = p.next(d, at)
    end
    return NEVER
  end

  function k.charge(c, d, cost, at, who)
    local used, rest, split, warn = c[2], cost, nil, false
    if distinct then
      rest = c[4][who] and 0 or 1
      c[4][who], cost = (c[4][who] or 0) + 1, 1
      warn = c[3] == 0 and crosses(d.warn, used, rest)
      if warn then
        c[3] = 1
      end
    elseif credits then
      local p = P()
      local _, spent = p.held(d, at)
      local newest = p.newest(d, at)
      if crosses(d.warn, spent, cost) and c[3] < newest then
        warn, c[3] = true, newest
      end
      rest, split = p.pay(d, cost, at, 0, 0)
    else
      if not d.plain then
        local free = d.allow - used
        rest, split = P().pay(d, cost, at, free > 0 and free or 0, 0)
      end
      warn = c[3] == 0 and crosses(d.warn, used, rest)
      if warn then
        c[3] = 1
      end
    end
    c[2] = used + rest
    if split or credits or distinct then
      return '', warn, NEVER, cost, split
    end
    return '', warn, NEVER, cost, nil, nil, c[2], 0
  end

  function k.use(c, d, at)
    local used = c and c[2] or 0
    if d.plain and not credits or distinct then
      return used, 0
    end
    local p = P()
    local units, spent = p.held(d, at)
    if credits then
      local t = p.next(d, at)
      return spent, t < FOREVER and t or 0, units
    end
    return used + spent, 0, d.allow + units
  end

  function k.rest()
    function k.fits(c, d, at)
      local left = credits and 0 or d.allow - (c and c[2] or 0)
      left = left > 0 and left or 0
      return distinct and left or left + P().free(d, at)
    end

    local function count(c)
      local n = 0
      for _ in pairs(c[4]) do
        n = n + 1
      end
      c[2] = n
    end

    function k.refund(c, cost, warned, data, split, who)
      if distinct then
        local seen = c[4]
        if seen[who] then
          seen[who] = seen[who] > 1 and seen[who] - 1 or nil
        end
        count(c)
      else
        cost = cost - P().unpay(c, split)
        c[2] = c[2] > cost and c[2] - cost or 0
      end
      if warned then
        c[3] = 0
      end
    end

    function k.merge(c, o)
      if distinct then
        for who, n in pairs(o[4]) do
          c[4][who] = (c[4][who] or 0) + n
        end
        count(c)
      else
        c[2] = c[2] + o[2]
        P().merge(c, o)
      end
      c[3] = o[3] > c[3] and o[3] or c[3]
    end

    function k.over(c, at)
      if credits then
        return P().over(c, at)
      end
      return c[2] == 0 and c[3] == 0 and P().over(c, at)
    end

    function k.blank(c)
      return c[2] == 0 and not (c.pots and c.pots[1])
    end

    function k.same(c, from, to)
      if distinct and c[4][from] then
        c[4][to] = (c[4][to] or 0) + c[4][from]
        c[4][from] = nil
        count(c)
      end
    end
  end
end
