-- Rolling: so many within the last span. See rolling.go for the law.
-- Field: span,warned,total,width; and the log: entries of 13 digits of time and
-- width digits of units, sorted by time, read in place. Parameter: span.
local function rolling()
  local k = {}

  function k.new()
    return {span = 0, warned = 0, total = 0, w = 1, log = '', n = 0}
  end

  function k.parse(text)
    local span, warned, total, w, log = match(text, '^(%d+),(%d+),(%d+),(%d+);(.*)$')
    w = tonumber(w)
    return {span = tonumber(span), warned = tonumber(warned), total = tonumber(total), w = w, log = log, n = #log / (13 + w)}
  end

  function k.text(c)
    return format('%d,%d,%d,%d;', c.span, c.warned, c.total, c.w) .. c.log
  end

  -- entry i, from 1: its time and units.
  local function entry(c, i)
    local from = (i - 1) * (13 + c.w)
    return tonumber(sub(c.log, from + 1, from + 13)), tonumber(sub(c.log, from + 14, from + 13 + c.w))
  end

  local function put(c, i, drop, at, n)
    local width = 13 + c.w
    c.log = sub(c.log, 1, (i - 1) * width) .. format('%013d%0' .. c.w .. 'd', at, n) .. sub(c.log, (i - 1 + drop) * width + 1)
    c.n = c.n + 1 - drop
  end

  local function widen(c, n)
    local w = #format('%d', n)
    if w > c.w then
      local log = {}
      for i = 1, c.n do
        log[i] = format('%013d%0' .. w .. 'd', entry(c, i))
      end
      c.w, c.log = w, concat(log)
    end
  end

  local function add(c, at, n)
    c.total = c.total + n
    local i = c.n
    while i > 0 do
      local t, was = entry(c, i)
      if t == at then
        widen(c, was + n)
        return put(c, i, 1, at, was + n)
      end
      if t < at then
        break
      end
      i = i - 1
    end
    widen(c, n)
    put(c, i + 1, 0, at, n)
  end

  -- used counts the log at a time, and tells the oldest entry's.
  local function used(c, span, at)
    local u = c.total
    for i = 1, c.n do
      local t, n = entry(c, i)
      if t > at - span then
        return u, t
      end
      u = u - n
    end
    return u, nil
  end

  function k.earliest(c, d, cost, at)
    local allow = d.allow
    if cost > allow then
      return NEVER
    end
    if not c then
      return at
    end
    local u, span, i = c.total, d.A[d.b], 1
    while u + cost > allow and i <= c.n do
      local t, n = entry(c, i)
      u, i = u - n, i + 1
      if t + span > at then
        at = t + span
      end
    end
    return at
  end

  function k.charge(c, d, cost, at)
    local span = d.A[d.b]
    local past = 0
    while past < c.n do
      local t, n = entry(c, past + 1)
      if t > now - span then
        break
      end
      c.total, past = c.total - n, past + 1
    end
    if past > 0 then
      c.log, c.n = sub(c.log, past * (13 + c.w) + 1), c.n - past
    end
    c.span = span
    local warn = d.warn > 0 and crosses(d.warn, used(c, span, at), cost) and c.warned <= at - span
    if d.allow > 2000 or c.n >= 2000 then
      local g = max(floor(span / 96), 1)
      at = floor((at + g - 1) / g) * g
    end
    if warn then
      c.warned = at
    end
    add(c, at, cost)
    return format('%d', at), warn, at + span
  end

  function k.refund(c, cost, warned, data)
    local at = tonumber(data)
    local lo, hi = 1, c.n
    while lo <= hi do
      local i = floor((lo + hi) / 2)
      local t, n = entry(c, i)
      if t == at then
        if warned and c.warned == at then
          c.warned = 0
        end
        local took = min(cost, n)
        c.total = c.total - took
        if n > took then
          put(c, i, 1, at, n - took)
        else
          local width = 13 + c.w
          c.log, c.n = sub(c.log, 1, (i - 1) * width) .. sub(c.log, i * width + 1), c.n - 1
        end
        return
      elseif t < at then
        lo = i + 1
      else
        hi = i - 1
      end
    end
  end

  function k.use(c, d, at)
    if not c then
      return 0, 0
    end
    local span = d.A[d.b]
    local u, oldest = used(c, span, at)
    return u, oldest and oldest + span or 0
  end

  function k.merge(c, o)
    for i = 1, o.n do
      add(c, entry(o, i))
    end
    c.span, c.warned = max(c.span, o.span), max(c.warned, o.warned)
  end

  function k.over(c, at)
    local last = c.warned
    if c.n > 0 then
      last = max(last, (entry(c, c.n)))
    end
    return last == 0 or last + c.span <= at
  end

  return k
end
