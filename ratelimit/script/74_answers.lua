-- Unanswered: so many to a recipient since their last reply, with a gap; and
-- Settling: so many from when they became a connection until they replied or a
-- span has passed. See unanswered.go and settling.go for the laws. Field: first
-- slot, span, warned, then time and units of every message. Parameters: gap;
-- span.
local function answers(k, settling)
  local x = X()
  local asked, crosses, json, record, recordFor, keyOf =
    x.asked, x.crosses, x.json, x.record, x.recordFor, x.keyOf
  -- trimmed forgets what is not newer than a time.
  local function trimmed(c, before)
    local n = #c
    local from = 4
    while from < n and c[from] <= before do
      from = from + 2
    end
    if from > 4 then
      for i = 4, n do
        c[i] = c[i + from - 4]
      end
    end
  end

  -- logged adds an entry; of more than 2,000 the two oldest become one.
  local function logged(c, at, n)
    local i = #c - 1
    while i >= 4 and c[i] > at do
      i = i - 2
    end
    if i >= 4 and c[i] == at then
      c[i + 1] = c[i + 1] + n
      return
    end
    insert(c, i + 2, n)
    insert(c, i + 2, at)
  end

  local function folded(c)
    if #c > 3 + 4000 then
      c[7] = c[7] + c[5]
      remove(c, 4)
      remove(c, 4)
    end
  end

  -- openSince returns how many are after a time, and the last of them.
  local function openSince(c, after)
    local n = 0
    if c then
      for i = #c - 1, 4, -2 do
        if c[i] <= after then
          break
        end
        n = n + c[i + 1]
      end
    end
    return n, n > 0 and c[#c - 1] or 0
  end

  k.params, k.stride, k.parse, k.text = 1, 3, decode, json

  function k.new()
    return {0, 0, 0}
  end

  local function known(d)
    local key, replied, connected = keyOf(d.f), 0, 0
    local r = key ~= '' and record(d.a, key)
    if r then
      replied, connected = r[2], r[3]
    end
    -- A scope may not have been told what the sender knows.
    r = d.a ~= asked.me and key ~= '' and record(asked.me, key)
    if r then
      replied, connected = r[2] > replied and r[2] or replied, r[3] > connected and r[3] or connected
    end
    return replied, connected
  end

  -- tell notes in a scope what the sender knows.
  local function tell(d, replied, connected)
    if d.a ~= asked.me and d.keyed and (replied > 0 or connected > 0) then
      local r = recordFor(d.a, keyOf(d.f))
      r[2], r[3] = replied, connected
    end
  end

  -- bound returns the time within which the recipient may get only so many.
  local function bound(d, at)
    local replied, connected = known(d)
    if connected == 0 or replied >= connected then
      return nil
    end
    local ends = d.A[d.b] > 0 and connected + d.A[d.b] or FOREVER
    if at < ends then
      return connected, ends
    end
  end

  local function within(c, from, ends)
    local n = 0
    if c then
      for i = 4, #c, 2 do
        if from <= c[i] and c[i] < ends then
          n = n + c[i + 1]
        end
      end
    end
    return n
  end

  if settling then
    function k.earliest(c, d, at)
      local from, ends = bound(d, at)
      if not from or within(c, from, ends) + d.cost <= d.allow then
        return at
      end
      return ends == FOREVER and NEVER or ends
    end

    function k.charge(c, d, cost, at)
      local replied, connected = known(d)
      tell(d, replied, connected)
      c[2] = d.A[d.b]
      if c[2] > 0 then
        trimmed(c, now - c[2])
      end
      trimmed(c, replied > connected - 1 and replied or connected - 1)
      local from, ends = bound(d, at)
      local warn = from and crosses(d.warn, within(c, from, ends), cost) and c[3] < from
      if warn then
        c[3] = at
      end
      logged(c, at, cost)
      folded(c)
      return format('%d', at), warn, NEVER, cost
    end

    function k.use(c, d, at)
      local from, ends = bound(d, at)
      if not from then
        return 0, 0
      end
      return within(c, from, ends), ends ~= FOREVER and ends or 0
    end
  else
    local function messages(d)
      local n = 0
      for j = d.from, d.from + d.k.stride * d.claims - 1, d.k.stride do
        if d.A[j + 1] > 0 and not (d.dropped and d.dropped[d.A[j]]) then
          n = n + 1
        end
      end
      return n
    end

    function k.earliest(c, d, at)
      local used, latest = openSince(c, (known(d)))
      local gap = d.A[d.b]
      if used + d.cost > d.allow or gap > 0 and messages(d) > 1 then
        return NEVER
      end
      if used > 0 and latest + gap > at then
        return latest + gap
      end
      return at
    end

    function k.charge(c, d, cost, at)
      local replied, connected = known(d)
      tell(d, replied, connected)
      trimmed(c, replied)
      local warn = crosses(d.warn, (openSince(c, 0)), cost) and c[3] <= replied
      if warn then
        c[3] = at
      end
      logged(c, at, cost)
      folded(c)
      return format('%d', at), warn, NEVER, cost
    end

    function k.use(c, d)
      return openSince(c, (known(d))), 0
    end
  end

  function k.rest()
    function k.fits(c, d, at)
      local left
      if settling then
        local from, ends = bound(d, at)
        if not from then
          return -1
        end
        left = d.allow - within(c, from, ends)
        return left > 0 and left or 0
      end
      left = d.allow - openSince(c, (known(d)))
      left = left > 0 and left or 0
      if d.A[d.b] > 0 and left > 1 then
        left = 1
      end
      return left
    end

    function k.refund(c, cost, warned, data)
      local at = tonumber(data)
      for i = 4, #c, 2 do
        if c[i] == at then
          if warned and c[3] == at then
            c[3] = 0
          end
          c[i + 1] = c[i + 1] - cost
          if c[i + 1] <= 0 then
            remove(c, i)
            remove(c, i)
          end
          return
        end
      end
    end

    function k.merge(c, o)
      for i = 4, #o, 2 do
        logged(c, o[i], o[i + 1])
      end
      c[2], c[3] = o[2] > c[2] and o[2] or c[2], o[3] > c[3] and o[3] or c[3]
    end

    -- What was before the last reply says nothing any more.
    function k.over(c, at, a, field)
      local n = #c
      if n < 5 or settling and c[2] > 0 and c[n - 1] + c[2] <= at then
        return true
      end
      local r = a and record(a, keyOf(field))
      return r and c[n - 1] <= r[2]
    end

    function k.blank(c)
      return not c[4]
    end
  end
end
