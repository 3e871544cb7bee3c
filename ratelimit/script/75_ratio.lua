-- Ratio: of the messages of the last span, so many must be good. See ratio.go
-- for the law. Field: as Rolling's, with two columns. What a recipient has not
-- answered is a counter of the unit `to` under their key: first slot, span, 0,
-- then time, units, and by how much later the account's log has it.
-- Parameters: span, rate, sample, whether good is to be a connection.
local function ratio(k)
  local x = X()
  local keyOf = x.keyOf
  local asked, lasts, counter, json, record, recordFor = x.asked, x.lasts, x.counter, x.json, x.record, x.recordFor
  k.params, k.stride = 4, 4
  local L = x.L()

  function k.new()
    return L.new(2)
  end

  function k.parse(text)
    if sub(text, 1, 1) == '[' then
      return decode(text)
    end
    return L.parse(text, 2)
  end

  function k.text(c)
    return c.log and L.text(c) or json(c)
  end

  -- toAnswer names the counter of what a recipient has not answered.
  local function toAnswer(d, who)
    return match(d.f, '^[^|]*|') .. 'to|' .. who
  end

  local function lastOpen(c, after)
    local n = 0
    for i = #c - 2, 4, -3 do
      if c[i] <= after then
        break
      end
      n = n + c[i + 1]
    end
    return n, n > 0 and c[#c - 2] or 0
  end

  -- freeFrom returns when the demand makes nothing worse.
  local function freeFrom(d)
    local from, span, connection = 0, d.A[d.b], d.A[d.b + 3] == 1
    local own = d.own
    for i = 1, #own do
      local r = record(asked.me, own[i])
      if not r or connection and r[3] == 0 or not connection and r[2] == 0 then
        return FOREVER
      end
      if not connection then
        local c = counter(asked.me, k, toAnswer(d, own[i]))
        if c then
          local n, latest = lastOpen(c, r[2])
          if n > 0 and latest + span > from then
            from = latest + span
          end
        end
      end
    end
    return from
  end

  local function enough(d, sent, good)
    return sent < d.A[d.b + 2] or sent == 0 or good * 1000000 >= d.A[d.b + 1] * sent
  end

  function k.earliest(c, d, at)
    if not c then
      return at
    end
    local free = freeFrom(d)
    if free <= at then
      return at
    end
    local sent, good, span = c.total, c.good, d.A[d.b]
    for i = 1, c.n do
      local t, n, g = L.at(c, i)
      if t > at - span then
        if enough(d, sent, good) then
          break
        end
        at = t + span
      end
      sent, good = sent - n, good - g
    end
    return at < free and at or free
  end

  function k.charge(c, d, cost, at, who)
    local span, connection = d.A[d.b], d.A[d.b + 3] == 1
    c.span = span
    L.prune(c, now - span)
    local t = c.n >= 2000 and L.coarse(span, at) or at
    local r = record(asked.me, who)
    if connection then
      local good = r and r[3] ~= 0
      L.add(c, t, cost, good and cost or 0)
      return (good and 'good ' or 'bad ') .. format('%d', t), false, at + span, cost
    end
    if r and at <= r[2] then
      L.add(c, t, cost, cost)
      return 'to ' .. format('%d', t), false, at + span, cost
    end
    local f = toAnswer(d, who)
    local to = counter(asked.me, k, f)
    if not to then
      to = {0, span, 0}
      asked.me.c[f] = to
      asked.me.grew = (asked.me.grew or 0) + 1
    end
    asked.me.dirty[f] = k
    lasts(asked.me, at + span)
    -- Their record names it, so that a reply finds it.
    r = recordFor(asked.me, who)
    local has = false
    for i = 1, #r[6] do
      has = has or r[6][i] == f
    end
    if not has then
      insert(r[6], f)
    end
    to[2] = span
    while to[4] and to[4] <= now - span do
      remove(to, 4)
      remove(to, 4)
      remove(to, 4)
    end
    k.owe(to, at, cost, t - at)
    L.add(c, t, cost, 0)
    return 'to ' .. format('%d', t), false, at + span, cost
  end

  function k.owe(to, at, n, late)
    local i = #to - 2
    while i >= 4 and (to[i] > at or to[i] == at and to[i + 2] > late) do
      i = i - 3
    end
    if i >= 4 and to[i] == at and to[i + 2] == late then
      to[i + 1] = to[i + 1] + n
      return
    end
    insert(to, i + 3, late)
    insert(to, i + 3, n)
    insert(to, i + 3, at)
  end

  -- use tells of the messages that are not good, and how many the rate lets be.
  function k.use(c, d, at)
    local sent, good, oldest = 0, 0, nil
    if c then
      sent, good, oldest = L.since(c, at - d.A[d.b])
    end
    local sample = d.A[d.b + 2]
    sample = sent > sample and sent or sample
    return sent - good, oldest and oldest + d.A[d.b] or 0, floor(sample * (1000000 - d.A[d.b + 1]) / 1000000)
  end

  -- answered: the messages to a recipient up to their reply are good now.
  function k.answered(a, field, to, replied, homes)
    local limit = match(field, '^[^|]*|')
    local function improve(o, f)
      local c = counter(o, k, f)
      local i = c and L.search(c, to[4] + to[6])
      if i then
        local t, n, good = L.at(c, i)
        local more = good + to[5] < n and good + to[5] or n
        c.good = c.good + more - good
        L.put(c, i, 1, t, n, more)
        o.dirty[f] = k
      end
    end
    while to[4] and to[4] <= replied do
      improve(a, limit .. '|' .. keyOf(field))
      for _, o in ipairs(homes) do
        improve(o, limit .. '|')
      end
      remove(to, 4)
      remove(to, 4)
      remove(to, 4)
    end
    a.dirty[field] = k
  end

  function k.rest()
    function k.fits()
      return -1
    end

    local function disown(to, t, cost)
      for i = 4, #to, 3 do
        if to[i] + to[i + 2] == t then
          to[i + 1] = to[i + 1] - cost
          if to[i + 1] <= 0 then
            remove(to, i)
            remove(to, i)
            remove(to, i)
          end
          return true
        end
      end
      return false
    end

    function k.refund(c, cost, warned, data, split, who, field, me)
      local what, t = match(data, '^(%a+) (%d+)$')
      t = tonumber(t)
      local good = 0
      if what == 'good' then
        good = cost
      elseif what == 'to' then
        local f = match(field, '^[^|]*|') .. 'to|' .. who
        local to = counter(me, k, f)
        if to and disown(to, t, cost) then
          me.dirty[f] = k
        else
          good = cost -- it was answered
        end
      end
      local i = L.search(c, t)
      if not i then
        return
      end
      local _, n, g = L.at(c, i)
      local took = cost < n and cost or n
      c.total = c.total - took
      n = n - took
      if n == 0 then
        c.good = c.good - g
        L.drop(c, i)
        return
      end
      local left = g - good > 0 and g - good or 0
      left = left < n and left or n
      c.good = c.good + left - g
      L.put(c, i, 1, t, n, left)
    end

    function k.merge(c, o)
      if o.log then
        for i = 1, o.n do
          L.add(c, L.at(o, i))
        end
        c.span = o.span > c.span and o.span or c.span
        return
      end
      for i = 4, #o, 3 do
        k.owe(c, o[i], o[i + 1], o[i + 2])
      end
      c[2] = o[2] > c[2] and o[2] or c[2]
    end

    function k.over(c, at)
      if c.log then
        if c.n == 0 then
          return true
        end
        return L.at(c, c.n) + c.span <= at
      end
      local n = #c
      return n < 6 or c[n - 2] + c[2] <= at
    end

    function k.blank(c)
      return c.log and c.n == 0 or not c.log and not c[4]
    end

    -- fresh is a new counter of the kind that a field has.
    function k.fresh(field)
      if find(field, '|to|', 1, true) then
        return {0, 0, 0}
      end
      return L.new(2)
    end
  end
end
