-- Pace: at least span between one message and the next. See pace.go for the
-- law. Field: first slot, span with its jitter, then time, messages and fraction
-- of every slot, sorted. Parameters: span, jitter.
local function pace(k)
  k.params, k.stride, k.parse = 2, 3, decode

  function k.new()
    return {0, 0}
  end

  function k.text(c)
    local n = #c
    if n == 5 then
      return format('[%d,%d,%d,%d,%d]', c[1], c[2], c[3], c[4], c[5])
    end
    return json(c)
  end

  -- ends returns when the next message may follow slot i. The product of jitter
  -- and fraction is taken in two parts: it may be more than a double holds.
  local function ends(c, i, span, jitter)
    local at, n, frac = c[i], c[i + 1], c[i + 2]
    if jitter > 0 then
      local high = floor(jitter / 65536)
      span = span + high * frac + floor((jitter - high * 65536) * frac / 65536)
    end
    if span > 0 and n > floor((FOREVER - at) / span) then
      return FOREVER
    end
    return at + n * span
  end

  -- last returns which slot ends last, and when.
  local function last(c, span, jitter)
    local which, latest = 3, 0
    for i = 3, #c, 3 do
      local e = ends(c, i, span, jitter)
      if e >= latest then
        which, latest = i, e
      end
    end
    return which, latest
  end

  -- gap returns the first time that has room for n messages before the slots that
  -- follow.
  local function gap(c, span, jitter, n, at)
    local own = {0, 0, at, n, asked.frac}
    for i = 3, #c, 3 do
      if own[3] < c[i] and ends(own, 3, span, jitter) <= c[i] then
        break
      end
      local e = ends(c, i, span, jitter)
      own[3] = e > own[3] and e or own[3]
    end
    return own[3]
  end

  function k.earliest(c, d, at)
    if c and asked.gaps and asked.place > 0 then
      return gap(c, d.A[d.b], d.A[d.b + 1], d.cost, at)
    end
    if c then
      local _, e = last(c, d.A[d.b], d.A[d.b + 1])
      if e > at then
        return e
      end
    end
    return at
  end

  local function add(c, at, n, frac)
    local i = #c - 2
    while i >= 3 and c[i] > at do
      i = i - 3
    end
    if i >= 3 and c[i] == at then
      c[i + 1] = c[i + 1] + n
      c[i + 2] = frac > c[i + 2] and frac or c[i + 2]
      return
    end
    i = i + 3
    if i > #c then
      c[i], c[i + 1], c[i + 2] = at, n, frac
    else
      insert(c, i, frac)
      insert(c, i, n)
      insert(c, i, at)
    end
  end

  -- pruned forgets slots that keep nobody back, but never the one that ends
  -- last, nor the latest of the past, of which at most 32 are kept.
  local function pruned(c, span, jitter)
    local past, which = 0, (last(c, span, jitter))
    for i = 3, #c, 3 do
      if c[i] > now then
        break
      end
      past = past + 1
    end
    local kept, n = {c[1], c[2]}, 2
    for i = 3, #c, 3 do
      local number = (i - 3) / 3
      if number >= past - 1 or i == which or past - number <= 32 and ends(c, i, span, jitter) > now then
        kept[n + 1], kept[n + 2], kept[n + 3] = c[i], c[i + 1], c[i + 2]
        n = n + 3
      end
    end
    return kept
  end

  function k.charge(c, d, cost, at)
    local span, jitter = d.A[d.b], d.A[d.b + 1]
    if c[6] and c[3] <= now then -- a lone slot ends last, and stays
      local kept = pruned(c, span, jitter)
      for i = 1, #c do
        c[i] = kept[i]
      end
    end
    c[2] = span + jitter
    add(c, at, cost, asked.frac)
    local most = cost * (span + jitter)
    return format('%d', at), false, at + (most < 1099511627776 and most or 1099511627776), cost
  end

  function k.use(c, d)
    if c then
      local _, e = last(c, d.A[d.b], d.A[d.b + 1])
      if e > now then
        return 0, e
      end
    end
    return 0, 0
  end

  function k.rest()
    function k.fits()
      return -1
    end

    function k.refund(c, cost, warned, data)
      local at = tonumber(data)
      for i = 3, #c, 3 do
        if c[i] == at then
          c[i + 1] = c[i + 1] - cost
          if c[i + 1] <= 0 then
            remove(c, i)
            remove(c, i)
            remove(c, i)
          end
          return
        end
      end
    end

    function k.merge(c, o)
      for i = 3, #o, 3 do
        add(c, o[i], o[i + 1], o[i + 2])
      end
      c[2] = o[2] > c[2] and o[2] or c[2]
    end

    function k.over(c, at)
      if not c[3] then
        return true
      end
      local _, e = last(c, c[2], 0)
      return c[2] > 0 and e <= at
    end

    function k.blank(c)
      return not c[3]
    end
  end
end
