-- Lifetime: so many, ever. Field: used,warned.
local function lifetime()
  local k = {}

  function k.new()
    return {u = 0, w = false}
  end

  function k.parse(text)
    local u, w = match(text, '^(%d+),(%d)')
    return {u = tonumber(u), w = w == '1'}
  end

  function k.text(c)
    return format('%d,%d', c.u, c.w and 1 or 0)
  end

  function k.earliest(c, d, cost, at)
    if (c and c.u or 0) + cost > d.allow then
      return NEVER
    end
    return at
  end

  function k.fits(c, d)
    return max(d.allow - (c and c.u or 0), 0)
  end

  function k.charge(c, d, cost)
    local warn = not c.w and crosses(d.warn, c.u, cost)
    c.u, c.w = c.u + cost, c.w or warn
    return '', warn, NEVER
  end

  function k.refund(c, cost, warned)
    c.u, c.w = max(c.u - cost, 0), c.w and not warned
  end

  function k.use(c)
    return c and c.u or 0, 0
  end

  function k.merge(c, o)
    c.u, c.w = c.u + o.u, c.w or o.w
  end

  function k.over(c)
    return c.u == 0 and not c.w
  end

  return k
end
