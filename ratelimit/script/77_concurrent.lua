-- Concurrent: so many on their way at once; and Hours. See concurrent.go and
-- hours.go for the laws. A lease lasts a minute beyond the last that was heard
-- of its sender. Field: first slot, leases: reservation, item, units, end.
-- Parameters: none; the open times.
local function concurrent(k)
  local x = X()
  local asked, json = x.asked, x.json
  k.params, k.stride, k.parse, k.text, k.leases = 0, 3, decode, json, true

  function k.new()
    return {0, {}}
  end

  local function running(c)
    local n = 0
    if c then
      for _, l in ipairs(c[2]) do
        if l[4] > now then
          n = n + l[3]
        end
      end
    end
    return n
  end

  function k.earliest(c, d, at)
    if d.cost > d.allow then
      return NEVER
    elseif running(c) + d.cost <= d.allow then
      return at
    end
    return at > now + 100 and at or now + 100
  end

  -- keeps: nothing is booked.
  function k.keeps(c, d, at)
    return at <= now
  end

  function k.lease(c, id, item, n)
    local kept = {}
    for _, l in ipairs(c[2]) do
      if l[4] > now and not (l[1] == id and l[2] == item) then
        kept[#kept + 1] = l
      end
    end
    kept[#kept + 1] = {id, item, n, now + 60000}
    c[2] = kept
  end

  function k.unlease(c, id, item)
    for i, l in ipairs(c[2]) do
      if l[1] == id and l[2] == item then
        remove(c[2], i)
        return
      end
    end
  end

  function k.charge(c, d, cost, at, who, j)
    if at > now then
      return nil
    end
    insert(c[2], {asked.id, d.A[j], cost, now + 60000})
    return '', false, now + 60000, cost
  end

  -- use tells, where there is no room, when the first lease ends.
  function k.use(c, d)
    local ends = 0
    if d.short and c then
      for _, l in ipairs(c[2]) do
        if l[4] > now and (ends == 0 or l[4] < ends) then
          ends = l[4]
        end
      end
    end
    return running(c), ends
  end

  function k.rest()
    function k.fits(c, d)
      return d.allow > 0 and d.allow or 0
    end

    function k.merge(c, o)
      for _, l in ipairs(o[2]) do
        insert(c[2], l)
      end
    end

    function k.over(c, at)
      for _, l in ipairs(c[2]) do
        if l[4] > at then
          return false
        end
      end
      return true
    end

    function k.blank()
      return false
    end
  end
end

local function hours(k)
  local x = X()
  local open =
    x.open
  k.params, k.stride, k.empty = 1, 3, true

  local function opens(d, at)
    local open = d.A[d.b]
    for i = 1, #open, 2 do
      local s, e = open[i], open[i + 1]
      if at < e and s < e then
        return at > s and at or s
      end
    end
    return at
  end

  function k.earliest(c, d, at)
    return opens(d, at)
  end

  function k.charge()
    return nil
  end

  function k.use(c, d, at)
    local t = opens(d, at)
    return 0, t > at and t or 0, 0
  end
end
