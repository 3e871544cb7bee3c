-- Pots, and allowances that grow: what is asked only of limits that have them.
-- See pots.go and ramp.go. A counter remembers what was used of its pots as
-- label, used, end.
local function generous()
  local x = X()
  local lasts, holdsOf =
    x.lasts, x.holdsOf
  local P = {}

  -- allPots are the claim's and the gifts to its limit: label, start, end,
  -- units, accrued.
  local function allPots(d)
    local pots = d.pots
    if not pots then
      pots = {}
      local x = d.x
      if x ~= 0 then
        for i, p in ipairs(x[4]) do
          pots[i] = p
        end
      end
      if d.a.f.g and not d.k.distinct then
        local limit = match(d.f, '^.([^|]*)')
        for _, g in ipairs(decode(d.a.f.g)) do
          if g[2] == limit then
            pots[#pots + 1] = {'gift ' .. g[1], 0, g[4], g[3], 0}
          end
        end
      end
      d.pots = pots
    end
    return pots
  end

  -- began is the counter's first slot, or at where it was never charged.
  local function began(d)
    return d.c and d.c[1] or 0
  end

  local function earlier(x, y)
    if x == 0 or y ~= 0 and y < x then
      return y
    end
    return x
  end

  -- usable: one that accrued, and ended or was followed by another before the
  -- counter first charged anything, never was there.
  local function usable(d, pots, p, at)
    if at < p[2] or p[3] ~= 0 and at >= p[3] then
      return false
    end
    if p[5] == 0 then
      return true
    end
    local first = earlier(began(d), at)
    for _, q in ipairs(pots) do
      if q[5] ~= 0 and q[2] > p[2] and q[2] <= first then
        return false
      end
    end
    return true
  end

  local function usedOf(d, p)
    local list = d.c and d.c.pots
    if list then
      for i = 1, #list do
        if list[i][1] == p[1] then
          return list[i][2]
        end
      end
    end
    return 0
  end

  function P.free(d, at)
    local pots, free = allPots(d), 0
    for _, p in ipairs(pots) do
      if usable(d, pots, p, at) then
        local left = p[4] - usedOf(d, p)
        if left > 0 then
          free = free + left
        end
      end
    end
    return free
  end

  function P.next(d, at)
    local soon = FOREVER
    for _, p in ipairs(allPots(d)) do
      if p[2] > at and p[2] < soon then
        soon = p[2]
      end
    end
    return soon
  end

  -- held returns what all pots hold at a time, and what was used of them.
  function P.held(d, at)
    local pots, units, used = allPots(d), 0, 0
    for _, p in ipairs(pots) do
      if usable(d, pots, p, at) then
        units, used = units + p[4], used + usedOf(d, p)
      end
    end
    return units, used
  end

  function P.newest(d, at)
    local newest = 1
    for _, p in ipairs(allPots(d)) do
      if p[2] < at and p[2] + 1 > newest then
        newest = p[2] + 1
      end
    end
    return newest
  end

  local function addPot(c, label, n, ends)
    c.pots = c.pots or {}
    for _, p in ipairs(c.pots) do
      if p[1] == label then
        p[2] = p[2] + n
        if p[3] ~= 0 and (ends == 0 or ends > p[3]) then
          p[3] = ends
        end
        return
      end
    end
    insert(c.pots, {label, n, ends})
  end

  -- pay lets the pots pay their part of a cost, and returns the rest, which the
  -- window pays: it has so many free and ends at a time; and who paid what.
  function P.pay(d, cost, at, free, ends)
    local pots, c = allPots(d), d.c
    if #pots == 0 then
      return cost, ''
    end
    local due = {}
    for i, p in ipairs(pots) do
      if usable(d, pots, p, at) then
        due[#due + 1] = {p, p[3] == 0 and FOREVER or p[3], i}
      end
    end
    sort(due, function(x, y)
      return x[2] < y[2] or x[2] == y[2] and x[3] < y[3]
    end)
    if c.pots then
      local kept = {}
      for _, p in ipairs(c.pots) do
        if p[3] == 0 or p[3] + LINGERS > now then
          kept[#kept + 1] = p
        end
      end
      c.pots = kept
    end
    local rest, split = cost, {}
    local function payFrom(p)
      local n = p[4] - usedOf(d, p)
      n = n < 0 and 0 or n
      n = rest < n and rest or n
      if n > 0 then
        addPot(c, p[1], n, p[3])
        lasts(d.a, p[3] == 0 and NEVER or p[3])
        split[#split + 1] = p[1] .. '=' .. format('%d', n)
        rest = rest - n
      end
    end
    local i = 1
    while due[i] and due[i][2] < ends do
      payFrom(due[i][1])
      i = i + 1
    end
    local window = rest < free and rest or free
    rest = rest - window
    while due[i] do
      payFrom(due[i][1])
      i = i + 1
    end
    return window + rest, concat(split, '&')
  end

  -- unpay gives the pots back what they paid, and returns how much that was.
  function P.unpay(c, split)
    local paid = 0
    for label, n in gmatch(split, '([^=&]+)=(%d+)') do
      n = tonumber(n)
      paid = paid + n
      for i, p in ipairs(c.pots or {}) do
        if p[1] == label then
          p[2] = p[2] - n
          if p[2] <= 0 then
            remove(c.pots, i)
          end
          break
        end
      end
    end
    return paid
  end

  function P.merge(c, o)
    for _, p in ipairs(o.pots or {}) do
      addPot(c, p[1], p[2], p[3])
    end
  end

  function P.over(c, at)
    for _, p in ipairs(c.pots or {}) do
      if p[3] == 0 or p[3] > at then
        return false
      end
    end
    return true
  end

  -- coarser halves a ramp's time until its products are exact.
  local function coarser(height, over)
    local step = 1
    while height > floor(4503599627370496 / over) do
      over, step = floor((over + 1) / 2), step * 2
    end
    return over, step
  end

  local function ramped(allow, from, elapsed, over)
    if elapsed < 0 then
      elapsed = 0
    end
    if from >= allow or elapsed >= over then
      return allow
    end
    local rough, step = coarser(allow - from, over)
    return from + floor((allow - from) * floor(elapsed / step) / rough)
  end

  local function rampedAfter(allow, from, needed, over)
    if needed <= from or from >= allow then
      return 0
    end
    local rough, step = coarser(allow - from, over)
    local elapsed = -floor(-(needed - from) * rough / (allow - from)) * step
    return elapsed < over and elapsed or over
  end

  -- allow is the demand's allowance at a slot.
  function P.allow(d, at)
    local allow, x = d.allow, d.x
    if x ~= 0 and x[2] > 0 then
      allow = ramped(d.allow, x[1], at - earlier(began(d), at), x[2])
    end
    for _, h in ipairs(holdsOf(d.a)) do
      if h[4] > 0 and h[2] > 0 then
        local least = d.allow < 1 and d.allow or 1
        local n = ramped(d.allow, 0, at - h[2], h[4])
        n = n > least and n or least
        allow = n < allow and n or allow
      end
    end
    return allow
  end

  -- when tells when the allowance reaches so many; FOREVER where it never does.
  function P.when(d, needed)
    if needed > d.allow then
      return FOREVER
    end
    local at, x = 0, d.x
    if x ~= 0 and x[2] > 0 then
      local wait = rampedAfter(d.allow, x[1], needed, x[2])
      if wait > 0 and began(d) == 0 then
        return FOREVER
      end
      at = began(d) + wait
    end
    for _, h in ipairs(holdsOf(d.a)) do
      if h[4] > 0 and h[2] > 0 and needed > 1 then
        local t = h[2] + rampedAfter(d.allow, 0, needed, h[4])
        at = t > at and t or at
      end
    end
    return at
  end

  -- most is what is ever allowed, as far as is known: a ramp that has not begun
  -- does not grow by waiting.
  function P.most(d)
    local allow, x = d.allow, d.x
    if x ~= 0 and x[2] > 0 and began(d) == 0 and x[1] < allow then
      allow = x[1]
    end
    return allow > 0 and allow or 0
  end

  -- firstRoom goes from one time at which anything changes to the next until
  -- there is room. used tells what counts at a time, and when that next falls.
  function P.firstRoom(d, at, used)
    while true do
      local n, falls = used(at)
      local free = P.free(d, at)
      if free >= d.cost then
        return at
      end
      local needed = n + d.cost - free
      if P.allow(d, at) >= needed then
        return at
      end
      local t = P.when(d, needed)
      if t > at and t < falls then
        falls = t
      end
      t = P.next(d, at)
      if t < falls then
        falls = t
      end
      if falls >= FOREVER then
        return NEVER
      end
      at = falls
    end
  end

  return P
end
