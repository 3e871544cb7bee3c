-- Similar: a text that went to many is a broadcast, open for a day from its
-- first message; then none that is like it may go until the gap after its last.
-- See similar.go for the law. A group is a counter under the key ~g and its
-- name: first slot, until when it told its bands it lasts, normalised text,
-- signature (hex), messages to further recipients, gap, warned, recipients with
-- how many messages each, times with how many. A band's is under ~b and the
-- band, of the unit `band`: first slot, until, names of groups.
-- Parameters: gap, rate. A claim has its likeness: text, signature, bands; or 0.
local function similar(k)
  local x = X()
  local counter, crosses, json =
    x.counter, x.crosses, x.json
  k.params, k.stride, k.parse, k.text, k.apart = 2, 5, decode, json, true

  function k.new()
    return {0, 0, '', '', 0, 0, 0, {}, {}}
  end

  local function groupField(d, name)
    return match(d.f, '^[^|]*|') .. '|~g' .. name
  end

  local function bandField(d, band)
    return match(d.f, '^[^|]*|') .. 'band|~b' .. band
  end

  local function ends(g, gap)
    local log = g[9]
    local x, y = log[1] + DAY, log[#log - 1] + gap
    return x > y and x or y
  end

  -- likeness of a text and a group, in millionths.
  local function likeness(g, l)
    if g[3] == l[1] then
      return 1000000
    end
    local mine, theirs = g[4], l[2]
    local n = #mine / 2
    if n == 0 or #theirs ~= #mine then
      return 0
    end
    local equal = 0
    for i = 1, #mine, 2 do
      local x, y = byte(mine, i, i + 1)
      local v, w = byte(theirs, i, i + 1)
      if x == v and y == w then
        equal = equal + 1
      end
    end
    local e = floor((256 * equal - n) * 1000000 / (255 * n))
    e = e > 0 and e or 0
    return e < 999999 and e or 999999
  end

  -- groupsOf lists the groups that a text belongs to at a time: name, group,
  -- likeness.
  local function groupsOf(d, l, at)
    local list, seen = {}, {}
    if l == 0 or l[2] == '' then
      return list
    end
    local gap, rate = d.A[d.b], d.A[d.b + 1]
    for _, band in ipairs(l[3]) do
      local c = counter(d.a, k, bandField(d, band))
      if c then
        for _, name in ipairs(c[3]) do
          if not seen[name] then
            local g = counter(d.a, k, groupField(d, name))
            if g and g[9][1] and ends(g, gap) > at then
              local n = likeness(g, l)
              if n >= rate then
                seen[name] = true
                list[#list + 1] = {name, g, n}
              end
            end
          end
        end
      end
    end
    return list
  end

  local function known(g)
    return #g[8] / 2 + g[5]
  end

  -- each calls f for every claim that is not given back, with its groups.
  local function each(d, at, f)
    local A, last, groups = d.A, nil, nil
    for j = d.from, d.from + 5 * d.claims - 1, 5 do
      if not (d.dropped and d.dropped[A[j]]) then
        if A[j + 4] ~= last or not groups then
          last = A[j + 4]
          groups = groupsOf(d, last, at)
        end
        f(j, groups)
      end
    end
  end

  function k.earliest(c, d, at)
    local gap, A = d.A[d.b], d.A
    while true do
      local soon, order, counts, has = at, {}, {}, {}
      each(d, at, function(j, groups)
        if A[j + 1] > 0 then
          for _, e in ipairs(groups) do
            local g = e[2]
            if not has[g] then
              local people = {}
              for i = 1, #g[8], 2 do
                people[g[8][i]] = true
              end
              has[g], counts[g] = people, known(g)
              order[#order + 1] = g
            end
            if not has[g][A[j + 3]] then
              has[g][A[j + 3]] = true
              counts[g] = counts[g] + 1
            end
          end
        end
      end)
      for _, g in ipairs(order) do
        local log = g[9]
        local first, last = log[1], log[#log - 1]
        local t = at
        local hi, lo = last > at and last or at, first < at and first or at
        if not (counts[g] < d.allow or hi - lo < DAY) then
          if at < first and last - first < DAY then
            t = last - DAY + 1
          else
            t = ends(g, gap)
            t = t > at and t or at
          end
        end
        soon = t > soon and t or soon
      end
      if soon == at then
        return at
      end
      at = soon
    end
  end

  function k.use(c, d, at)
    local used, resets, gap = 0, 0, d.A[d.b]
    each(d, at, function(_, groups)
      for _, e in ipairs(groups) do
        local n, t = known(e[2]), ends(e[2], gap)
        if n > used or n == used and t > resets then
          used, resets = n, t
        end
      end
    end)
    return used, resets
  end

  local function addPerson(g, who, n, most)
    local people = g[8]
    for i = 1, #people, 2 do
      if people[i] == who then
        people[i + 1] = people[i + 1] + n
        return
      end
    end
    if #people / 2 < most then
      people[#people + 1] = who
      people[#people + 1] = n
    else
      g[5] = g[5] + n
    end
  end

  local function addEntry(g, at, n)
    local log = g[9]
    local i = #log - 1
    while i >= 1 and log[i] > at do
      i = i - 2
    end
    if i >= 1 and log[i] == at then
      log[i + 1] = log[i + 1] + n
      return
    end
    insert(log, i + 2, n)
    insert(log, i + 2, at)
  end

  local function changed(a, field, c)
    if not a.c[field] then
      a.c[field] = c
      a.grew = (a.grew or 0) + 1
    end
    a.dirty[field] = k
  end

  function k.charge(c, d, cost, at, who, j)
    local l, gap, a = d.A[j + 4], d.A[d.b], d.a
    if l == 0 or l[2] == '' then
      return nil
    end
    local best
    for _, e in ipairs(groupsOf(d, l, at)) do
      if not best or e[3] > best[3] or e[3] == best[3] and
        (e[2][9][1] < best[2][9][1] or e[2][9][1] == best[2][9][1] and e[1] < best[1]) then
        best = e
      end
    end
    local name = best and best[1] or l[1] .. '.' .. format('%d', floor(at / DAY))
    local field = groupField(d, name)
    local g = counter(a, k, field)
    if not g then
      g = k.new()
    end
    changed(a, field, g)
    if not best and (not g[9][1] or ends(g, gap) <= now) then
      g[2], g[3], g[4], g[5], g[7], g[8], g[9] = 0, l[1], l[2], 0, 0, {}, {}
    end
    local before = known(g)
    addEntry(g, at, cost)
    while #g[9] > 128 do
      g[9][6] = g[9][6] + g[9][4] -- never the first: it opened the broadcast
      remove(g[9], 3)
      remove(g[9], 3)
    end
    addPerson(g, who, cost, (d.allow < 2000 and d.allow or 2000) + 32)
    local warn = crosses(d.warn, before, known(g) - before) and g[7] == 0
    if warn then
      g[7] = 1
    end
    g[6] = gap
    local till = ends(g, gap)
    if not best or till - g[2] > LINGERS / 2 then
      g[2] = till
      for _, band in ipairs(l[3]) do
        local f = bandField(d, band)
        local b = counter(a, k, f) or {0, 0, {}}
        changed(a, f, b)
        local kept, has = {}, false
        for _, other in ipairs(b[3]) do
          local o = counter(a, k, groupField(d, other))
          if o and o[9][1] and ends(o, gap > o[6] and gap or o[6]) > now - LINGERS then
            kept[#kept + 1] = other
            has = has or other == name
          end
        end
        if not has then
          kept[#kept + 1] = name
        end
        b[2], b[3] = till > b[2] and till or b[2], kept
      end
    end
    return format('%d', at), warn, till, cost, nil, '~g' .. name
  end

  function k.rest()
    function k.fits()
      return -1
    end

    function k.refund(c, cost, warned, data, split, who)
      local at, log = tonumber(data), c[9]
      if not log then
        return
      end
      local i = 1
      while log[i] and log[i] < at do
        i = i + 2
      end
      if not log[i] or i == 1 and log[1] ~= at then
        return
      end
      log[i + 1] = log[i + 1] - (cost < log[i + 1] and cost or log[i + 1])
      if log[i + 1] == 0 then
        remove(log, i)
        remove(log, i)
      end
      if warned then
        c[7] = 0
      end
      local people = c[8]
      for p = 1, #people, 2 do
        if people[p] == who then
          people[p + 1] = people[p + 1] - cost
          if people[p + 1] <= 0 then
            remove(people, p)
            remove(people, p)
          end
          return
        end
      end
      c[5] = c[5] > cost and c[5] - cost or 0
    end

    function k.merge(c, o)
      if o[2] > c[2] then
        c[2] = o[2]
      end
      if not o[4] then
        local has = {}
        for _, name in ipairs(c[3]) do
          has[name] = true
        end
        for _, name in ipairs(o[3]) do
          if not has[name] then
            insert(c[3], name)
          end
        end
        return
      end
      if c[3] == '' and c[4] == '' then
        c[3], c[4] = o[3], o[4]
      end
      for i = 1, #o[9], 2 do
        addEntry(c, o[9][i], o[9][i + 1])
      end
      for i = 1, #o[8], 2 do
        addPerson(c, o[8][i], o[8][i + 1], 2032)
      end
      c[5] = c[5] + o[5]
      c[6], c[7] = o[6] > c[6] and o[6] or c[6], o[7] > c[7] and o[7] or c[7]
    end

    function k.same(c, from, to)
      local people = c[8]
      for i = 1, people and #people or 0, 2 do
        if people[i] == from then
          local n = people[i + 1]
          remove(people, i)
          remove(people, i)
          addPerson(c, to, n, 2032)
          return
        end
      end
    end

    function k.over(c, at)
      if not c[4] then
        return c[2] <= at
      end
      return not c[9][1] or ends(c, c[6]) <= at
    end

    function k.blank(c)
      return not c[9] or not c[9][1]
    end

    function k.fresh(field)
      if find(field, '|band|', 1, true) then
        return {0, 0, {}}
      end
      return k.new()
    end
  end
end
