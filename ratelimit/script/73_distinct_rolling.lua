-- Distinct, rolling: so many recipients within the last span. See distinct.go
-- for the law. Field: first slot, span, warned, and for every recipient the
-- times of up to 8 messages, each with how many. Parameters: span, extras.
local function distinctRolling(k)
  local x = X()
  local crosses, json, P =
    x.crosses, x.json, x.P
  k.params, k.stride, k.extras, k.distinct, k.parse, k.text = 2, 4, true, true, decode, json

  function k.new()
    return {0, 0, 0, {}}
  end

  -- counted returns how many recipients count after a time, and when the first
  -- of them leaves.
  local function counted(c, after, span)
    local n, resets = 0, 0
    for _, times in pairs(c[4]) do
      local t = times[#times - 1]
      if t > after then
        n = n + 1
        if resets == 0 or t + span < resets then
          resets = t + span
        end
      end
    end
    return n, resets
  end

  function k.earliest(c, d, at)
    local span, own, p = d.A[d.b], d.own, P()
    local mine = {}
    for i = 1, #own do
      mine[own[i]] = true
    end
    while true do
      local latest, last, news, till = {}, 0, #own, FOREVER
      if c then
        for who, times in pairs(c[4]) do
          local t = times[#times - 1]
          if t > at - span then
            if mine[who] then
              news = news - 1
              till = t + span < till and t + span or till
            else
              latest[#latest + 1] = t
              last = t > last and t or last
            end
          end
        end
      end
      -- Who counts already takes no more room: unless it would now count beside
      -- one that is booked for when it would have counted no more.
      if news == 0 and last < till then
        return at
      end
      local needed = #latest + #own
      if needed <= p.allow(d, at) then
        return at
      end
      sort(latest)
      local soon, excess = FOREVER, needed - d.allow
      if excess > 0 then -- so many must leave, whatever grows
        if latest[excess] then
          soon = latest[excess] + span
        end
      else
        if latest[1] then
          soon = latest[1] + span
        end
        local t = p.when(d, needed)
        if t > at and t < soon then
          soon = t
        end
      end
      if soon >= FOREVER then
        return NEVER
      end
      at = soon
    end
  end

  local function see(c, who, at, n)
    local times = c[4][who]
    if not times then
      c[4][who] = {at, n}
      return
    end
    local i = #times - 1
    while i >= 1 and times[i] > at do
      i = i - 2
    end
    if i >= 1 and times[i] == at then
      times[i + 1] = times[i + 1] + n
      return
    end
    insert(times, i + 2, n)
    insert(times, i + 2, at)
    if #times > 16 then
      times[4] = times[4] + times[2]
      remove(times, 1)
      remove(times, 1)
    end
  end

  function k.charge(c, d, cost, at, who)
    local span = d.A[d.b]
    local before = d.counted -- by the claims before it
    if not before then
      for w, times in pairs(c[4]) do
        while times[1] and times[1] <= now - span do
          remove(times, 1)
          remove(times, 1)
        end
        if not times[1] then
          c[4][w] = nil
        end
      end
      before = counted(c, at - span, span)
    end
    c[2] = span
    local times = c[4][who]
    local news = times and times[#times - 1] > at - span and 0 or 1
    see(c, who, at, 1)
    d.counted = before + news
    local warn = crosses(d.warn, before, news) and c[3] <= at - span
    if warn then
      c[3] = at
    end
    return format('%d', at), warn, at + span, 1
  end

  function k.use(c, d, at)
    local allow = not d.plain and P().allow(d, at) or nil
    if not c then
      return 0, 0, allow
    end
    local n, resets = counted(c, at - d.A[d.b], d.A[d.b])
    return n, resets, allow
  end

  function k.rest()
    function k.fits(c, d)
      return P().most(d)
    end

    function k.refund(c, cost, warned, data, split, who)
      local at, times = tonumber(data), c[4][who]
      if times then
        local i = 1
        while times[i] and times[i] < at do
          i = i + 2
        end
        if times[i] then
          times[i + 1] = times[i + 1] - 1
          if times[i + 1] <= 0 then
            remove(times, i)
            remove(times, i)
          end
          if not times[1] then
            c[4][who] = nil
          end
        end
      end
      if warned and c[3] == at then
        c[3] = 0
      end
    end

    local function addAll(c, who, times)
      for i = 1, #times, 2 do
        see(c, who, times[i], times[i + 1])
      end
    end

    function k.merge(c, o)
      for who, times in pairs(o[4]) do
        addAll(c, who, times)
      end
      c[2], c[3] = o[2] > c[2] and o[2] or c[2], o[3] > c[3] and o[3] or c[3]
    end

    function k.same(c, from, to)
      local times = c[4][from]
      if times then
        c[4][from] = nil
        addAll(c, to, times)
      end
    end

    function k.over(c, at)
      for _, times in pairs(c[4]) do
        if times[#times - 1] + c[2] > at then
          return false
        end
      end
      return c[3] == 0 or c[3] + c[2] <= at
    end

    function k.blank(c)
      return next(c[4]) == nil
    end
  end
end
