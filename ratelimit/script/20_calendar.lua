-- Calendar: so many within a civil window. See calendar.go for the law.
-- Field: start,end,used,warned,label of the newest window that has begun, then
-- the same of the one after it. Parameters: start and label of three windows,
-- then the end of the last.
local function calendar()
  local k = {}

  function k.new()
    return {l = '', s = 0, e = 0, u = 0, w = false, L = '', S = 0, E = 0, U = 0, W = false}
  end

  function k.parse(text)
    local s, e, u, w, l, rest = match(text, '^(%-?%d+),(%-?%d+),(%d+),(%d),([^;]*);?(.*)$')
    local c = {l = l, s = tonumber(s), e = tonumber(e), u = tonumber(u), w = w == '1', L = '', S = 0, E = 0, U = 0, W = false}
    if rest ~= '' then
      s, e, u, w, l = match(rest, '^(%-?%d+),(%-?%d+),(%d+),(%d),(.*)$')
      c.L, c.S, c.E, c.U, c.W = l, tonumber(s), tonumber(e), tonumber(u), w == '1'
    end
    return c
  end

  function k.text(c)
    if c.L == '' then
      return format('%d,%d,%d,%d,%s', c.s, c.e, c.u, c.w and 1 or 0, c.l)
    end
    return format('%d,%d,%d,%d,%s;%d,%d,%d,%d,%s', c.s, c.e, c.u, c.w and 1 or 0, c.l, c.S, c.E, c.U, c.W and 1 or 0, c.L)
  end

  -- window returns the window of a time: label, start, end, used, warned; nil
  -- where it is not known.
  local function window(c, d, at)
    if c then
      if c.s <= at and at < c.e and c.l ~= '' then
        return c.l, c.s, c.e, c.u, c.w
      end
      if c.S <= at and at < c.E and c.L ~= '' then
        return c.L, c.S, c.E, c.U, c.W
      end
    end
    local A, b = d.A, d.b
    for i = b, b + 4, 2 do
      local s, e = A[i], A[i + 2]
      if s <= at and at < e then
        local l, u, w = A[i + 1], 0, false
        if c then
          if c.L ~= '' and c.S <= at then
            if c.L >= l then
              l, s, u, w = c.L, c.S, c.U, c.W
            else
              s = max(s, c.E)
            end
          elseif c.l ~= '' and c.s <= at then
            if c.l >= l then
              l, s, u, w = c.l, c.s, c.u, c.w
            else
              s = max(s, c.e)
            end
          end
          if c.L ~= '' and c.S > at then
            e = min(e, c.S)
          end
        end
        return l, s, e, u, w
      end
    end
  end

  function k.earliest(c, d, cost, at)
    local allow = d.allow
    if cost > allow then
      return NEVER
    end
    local l, _, e, u = window(c, d, at)
    if not l or u + cost <= allow then
      return at
    end
    return e
  end

  -- keeps: only the window of now and the one after it are remembered.
  function k.keeps(c, d, at)
    local l, s = window(c, d, at)
    if not l then
      return false
    end
    if not c or s <= now then
      return true
    end
    return c.L == '' or c.S <= now or c.L == l
  end

  function k.charge(c, d, cost, at)
    if not k.keeps(c, d, at) then
      return nil
    end
    local l, s, e, u, w = window(c, d, at)
    if c.L ~= '' and c.S <= now then
      c.l, c.s, c.e, c.u, c.w = c.L, c.S, c.E, c.U, c.W
      c.L, c.S, c.E, c.U, c.W = '', 0, 0, 0, false
    end
    if c.s > now then
      c.L, c.S, c.E, c.U, c.W = c.l, c.s, c.e, c.u, c.w
      c.l, c.s, c.e, c.u, c.w = '', 0, 0, 0, false
    end
    local warn = false
    if not w and crosses(d.warn, u, cost) then
      warn, w = true, true
    end
    if l == c.l or s <= now then
      c.l, c.s, c.e, c.u, c.w = l, s, e, u + cost, w
    else
      c.L, c.S, c.E, c.U, c.W = l, s, e, u + cost, w
    end
    return l, warn, e
  end

  function k.refund(c, cost, warned, label)
    if c.l == label then
      c.u, c.w = max(c.u - cost, 0), c.w and not warned
    elseif c.L == label then
      c.U, c.W = max(c.U - cost, 0), c.W and not warned
    end
  end

  function k.use(c, d, at)
    local l, _, e, u = window(c, d, at)
    if l then
      return u, e
    end
    return 0, 0
  end

  local function add(c, l, s, e, u, w)
    if c.l == l then
      c.u, c.s, c.e, c.w = c.u + u, min(c.s, s), max(c.e, e), c.w or w
    elseif c.L == l then
      c.U, c.S, c.E, c.W = c.U + u, min(c.S, s), max(c.E, e), c.W or w
    elseif c.l == '' then
      c.l, c.s, c.e, c.u, c.w = l, s, e, u, w
    elseif c.L == '' and l > c.l then
      c.L, c.S, c.E, c.U, c.W = l, s, e, u, w
    elseif c.L == '' then
      c.L, c.S, c.E, c.U, c.W = c.l, c.s, c.e, c.u, c.w
      c.l, c.s, c.e, c.u, c.w = l, s, e, u, w
    elseif l > c.L then
      c.l, c.s, c.e, c.u, c.w = c.L, c.S, c.E, c.U, c.W
      c.L, c.S, c.E, c.U, c.W = l, s, e, u, w
    elseif l > c.l then
      c.l, c.s, c.e, c.u, c.w = l, s, e, u, w
    end
  end

  function k.merge(c, o)
    if o.l ~= '' then
      add(c, o.l, o.s, o.e, o.u, o.w)
    end
    if o.L ~= '' then
      add(c, o.L, o.S, o.E, o.U, o.W)
    end
  end

  function k.over(c, at)
    return not (c.l ~= '' and c.e > at or c.L ~= '' and c.E > at)
  end

  return k
end
