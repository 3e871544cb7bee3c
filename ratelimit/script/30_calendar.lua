-- Calendar: so many within a civil window. See calendar.go for the law.
-- Field: first slot, then start, end, used, warned and label of the newest
-- window that has begun, then the same of the one after it, then pots. Distinct
-- has the recipients of either window, with how many messages, at 12 and 13.
-- Parameters: start and label of three windows, the end of the last, extras.
local function calendar(k, distinct)
  k.params, k.stride, k.extras, k.windows, k.distinct = 8, distinct and 4 or 3, true, true, distinct

  function k.new()
    return {0, 0, 0, 0, 0, '', 0, 0, 0, 0, '', distinct and {}, distinct and {}}
  end

  function k.parse(text)
    local c = decode(text)
    if not c[7] then
      c[7], c[8], c[9], c[10], c[11] = 0, 0, 0, 0, ''
    end
    if distinct then
      return c
    end
    c.pots, c[12] = c[12], nil
    return c
  end

  function k.text(c)
    if distinct then
      return json(c)
    end
    local pots = c.pots
    if c[11] == '' and not (pots and pots[1]) then
      return format('[%d,%d,%d,%d,%d,"%s"]', c[1], c[2], c[3], c[4], c[5], c[6])
    end
    local text = format('[%d,%d,%d,%d,%d,"%s",%d,%d,%d,%d,"%s"', c[1], c[2], c[3], c[4], c[5], c[6], c[7], c[8], c[9], c[10], c[11])
    return text .. (pots and pots[1] and ',' .. json(pots) or '') .. ']'
  end

  -- window returns the window of a time: label, start, end, used, warned, and
  -- which of the two it was; nil where it is not known.
  local function window(c, d, at)
    if c then
      if c[2] <= at and at < c[3] and c[6] ~= '' then
        return c[6], c[2], c[3], c[4], c[5], 1
      end
      if c[7] <= at and at < c[8] and c[11] ~= '' then
        return c[11], c[7], c[8], c[9], c[10], 2
      end
    end
    local A, b = d.A, d.b
    for i = b, b + 4, 2 do
      local s, e = A[i], A[i + 2]
      if s <= at and at < e then
        local l, u, w, which = A[i + 1], 0, 0, 0
        if c then
          local label, start, ends, used, warned, n = c[6], c[2], c[3], c[4], c[5], 1
          if c[11] ~= '' and c[7] <= at then
            label, start, ends, used, warned, n = c[11], c[7], c[8], c[9], c[10], 2
          end
          if label ~= '' and start <= at then
            if label >= l then
              l, s, u, w, which = label, start, used, warned, n
            elseif ends > s then
              s = ends
            end
          end
          if c[11] ~= '' and c[7] > at and c[7] < e then
            e = c[7]
          end
        end
        return l, s, e, u, w, which
      end
    end
  end

  -- recipients is whom the demand names, each once.
  local function newcomers(c, d, which)
    local seen, n, own = which > 0 and c[11 + which] or {}, 0, d.own
    for i = 1, #own do
      if not seen[own[i]] then
        n = n + 1
      end
    end
    return n
  end

  function k.earliest(c, d, at)
    if distinct then
      local p = P()
      while true do
        local l, _, e, u, _, which = window(c, d, at)
        local news = newcomers(c, d, which or 0)
        if news == 0 then
          return at
        end
        local needed = (u or 0) + news
        if needed <= p.allow(d, at) then
          return at
        end
        local soon = l and e or FOREVER
        local t = p.when(d, needed)
        if t > at and t < soon then
          soon = t
        end
        if soon >= FOREVER then
          return NEVER
        end
        at = soon
      end
    end
    if d.plain then
      if d.cost > d.allow then
        return NEVER
      end
      local l, _, e, u = window(c, d, at)
      if not l or u + d.cost <= d.allow then
        return at
      end
      return e
    end
    return P().firstRoom(d, at, function(t)
      local l, _, e, u = window(c, d, t)
      if not l then
        return 0, FOREVER
      end
      return u, e
    end)
  end

  -- keeps: only the window of now and the one after it are remembered.
  function k.keeps(c, d, at)
    local l, s = window(c, d, at)
    if not l then
      return false
    end
    return not c or s <= now or c[11] == '' or c[7] <= now or c[11] == l
  end

  function k.charge(c, d, cost, at, who)
    local l, s, e, u, w, which = window(c, d, at)
    if not l or s > now and c[11] ~= '' and c[7] > now and c[11] ~= l then
      return nil
    end
    local seen = distinct and (which > 0 and c[11 + which] or {})
    if c[11] ~= '' and c[7] <= now then
      c[2], c[3], c[4], c[5], c[6], c[12] = c[7], c[8], c[9], c[10], c[11], c[13]
      c[7], c[8], c[9], c[10], c[11] = 0, 0, 0, 0, ''
      c[13] = distinct and {}
    end
    if c[2] > now then
      c[7], c[8], c[9], c[10], c[11], c[13] = c[2], c[3], c[4], c[5], c[6], c[12]
      c[2], c[3], c[4], c[5], c[6] = 0, 0, 0, 0, ''
      c[12] = distinct and {}
    end
    local i = 7
    if l == c[6] or s <= now then
      if l < c[6] then
        return nil -- a window before it, to which something is restored
      end
      i = 2
    end
    local split, rest, warn = nil, cost, false
    if distinct then
      rest, cost = seen[who] and 0 or 1, 1
      seen[who] = (seen[who] or 0) + 1
    elseif not d.plain then
      c[i], c[i + 1], c[i + 2], c[i + 3], c[i + 4] = s, e, u, w, l
      local p = P()
      local free = p.allow(d, at) - u
      rest, split = p.pay(d, cost, at, free > 0 and free or 0, e)
    end
    if d.warn > 0 and w == 0 and crosses(d.warn, u, rest) then
      warn, w = true, 1
    end
    c[i], c[i + 1], c[i + 2], c[i + 3], c[i + 4] = s, e, u + rest, w, l
    if distinct then
      c[i == 2 and 12 or 13] = seen
    end
    if split or distinct then
      return l, warn, e, cost, split
    end
    return l, warn, e, cost, nil, nil, u + rest, e
  end

  function k.use(c, d, at)
    local l, _, e, u = window(c, d, at)
    if d.plain then
      return u or 0, e or 0
    end
    local p = P()
    local units, used = 0, 0
    if not distinct then
      units, used = p.held(d, at)
    end
    return (u or 0) + used, e or 0, p.allow(d, at) + units
  end

  function k.rest()
    local function count(seen)
      local n = 0
      for _ in pairs(seen) do
        n = n + 1
      end
      return n
    end

    function k.fits(c, d, at)
      local most = P().most(d)
      return distinct and most or most + P().free(d, at)
    end

    function k.refund(c, cost, warned, data, split, who)
      local i = c[6] == data and 2 or c[11] == data and 7
      if not distinct then
        cost = cost - P().unpay(c, split)
      end
      if not i then
        return
      end
      if distinct then
        local seen = c[i == 2 and 12 or 13]
        if seen[who] then
          seen[who] = seen[who] > 1 and seen[who] - 1 or nil
        end
        c[i + 2] = count(seen)
      else
        c[i + 2] = c[i + 2] > cost and c[i + 2] - cost or 0
      end
      if warned then
        c[i + 3] = 0
      end
    end

    local function add(c, l, s, e, u, w, seen)
      for i = 2, 7, 5 do
        if c[i + 4] == l then
          c[i], c[i + 1] = s < c[i] and s or c[i], e > c[i + 1] and e or c[i + 1]
          c[i + 2], c[i + 3] = c[i + 2] + u, w == 1 and 1 or c[i + 3]
          if distinct then
            local mine = c[i == 2 and 12 or 13]
            for who, n in pairs(seen) do
              mine[who] = (mine[who] or 0) + n
            end
            c[i + 2] = count(mine)
          end
          return
        end
      end
      local function put(i)
        c[i], c[i + 1], c[i + 2], c[i + 3], c[i + 4] = s, e, u, w, l
        c[i == 2 and 12 or 13] = distinct and seen
      end
      local function down()
        c[7], c[8], c[9], c[10], c[11], c[13] = c[2], c[3], c[4], c[5], c[6], c[12]
      end
      local function up()
        c[2], c[3], c[4], c[5], c[6], c[12] = c[7], c[8], c[9], c[10], c[11], c[13]
      end
      if c[6] == '' then
        put(2)
      elseif c[11] == '' and l > c[6] then
        put(7)
      elseif c[11] == '' then
        down()
        put(2)
      elseif l > c[11] then
        up()
        put(7)
      elseif l > c[6] then
        put(2)
      end
    end

    function k.merge(c, o)
      for i = 2, 7, 5 do
        if o[i + 4] ~= '' then
          add(c, o[i + 4], o[i], o[i + 1], o[i + 2], o[i + 3], o[i == 2 and 12 or 13])
        end
      end
      P().merge(c, o)
    end

    function k.over(c, at)
      return not (c[6] ~= '' and c[3] > at or c[11] ~= '' and c[8] > at) and P().over(c, at)
    end

    function k.blank(c)
      return c[4] == 0 and c[9] == 0 and not (c.pots and c.pots[1])
    end

    function k.same(c, from, to)
      if distinct then
        for i = 12, 13 do
          local seen = c[i]
          if seen[from] then
            seen[to] = (seen[to] or 0) + seen[from]
            seen[from] = nil
          end
          c[4 + (i - 12) * 5] = count(seen)
        end
      end
    end
  end
end
