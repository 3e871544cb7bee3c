-- Identities that turn out to be one account, and threads that turn out to be a
-- recipient: what they had counted is added, and from then on one stands for
-- the other. See alias.go and events.go.
local function merging()
  local x = X()
  local names, open, head, get, set, lasts, counter, json, need, of, record, recordFor, canonical, keyOf, keyed,
    holdsOf, keepHolds, active, kind, whole, pack, short, Q =
    x.names, x.open, x.head, x.get, x.set, x.lasts, x.counter, x.json, x.need, x.of, x.record, x.recordFor,
    x.canonical, x.keyOf, x.keyed, x.holdsOf, x.keepHolds, x.active, x.kind, x.whole, x.pack, x.short, x.Q
  local M = {}

  -- strangers returns the accounts that the aliases stand for besides a.
  function M.strangers(a, from)
    local others, news, seen = {}, false, {}
    for i = from, #names do
      local o = open(i)
      if not o.headed then
        head(o, {})
      end
      if o.f.l then
        local has = false
        for j = 1, #names do
          has = has or names[j] == o.f.l
        end
        if not has then
          need(o.f.l, true)
        end
      elseif o.name ~= a.name and not seen[o.name] then
        news, seen[o.name] = true, true
        others[#others + 1] = o
      end
    end
    return others, news
  end

  -- all reads all fields of an account.
  function M.all(a)
    if not a.whole then
      local got, list = call('HGETALL', a.key), {}
      for i = 1, #got, 2 do
        if a.f[got[i]] == nil then
          a.f[got[i]] = got[i + 1]
        end
      end
      a.whole = true
    end
    local list = {}
    for f, text in pairs(a.f) do
      if text or a.c[f] or a.r[f] then
        list[#list + 1] = f
      end
    end
    for f, c in pairs(a.c) do
      if c and a.f[f] == nil then
        list[#list + 1] = f
      end
    end
    sort(list)
    return list
  end

  local function isCounter(f)
    return find(f, '^%a[^|]*|[^|]*|') ~= nil and not find(f, '^[km]|')
  end

  -- addCounter adds what a counter has counted to one of a field.
  local function addCounter(a, f, o)
    local k = whole(kind(sub(f, 1, 1)))
    if a.f[f] == nil and a.whole then
      a.f[f] = false
    end
    local c = counter(a, k, f)
    if not c then
      c = k.fresh and k.fresh(f) or k.new()
      a.c[f] = c
    end
    k.merge(c, o)
    if c[1] == 0 or o[1] ~= 0 and o[1] < c[1] then
      c[1] = o[1]
    end
    a.dirty[f] = k
  end

  -- addHolds takes in holds: of one name the later end stays.
  local function addHolds(list, more)
    for _, o in ipairs(more) do
      local mine
      for _, h in ipairs(list) do
        if h[1] == o[1] then
          mine = h
        end
      end
      local ends = o[2] == 0 and FOREVER or o[2]
      if not mine then
        list[#list + 1] = o
      elseif ends > (mine[2] == 0 and FOREVER or mine[2]) then
        local ids = {}
        for _, l in ipairs({mine[7], o[7]}) do
          for _, id in ipairs(l) do
            ids[#ids + 1] = id
          end
        end
        while #ids > 16 do
          remove(ids, 1)
        end
        for i = 1, 6 do
          mine[i] = o[i]
        end
        mine[7] = ids
      end
    end
  end

  -- addRecord adds what is known of one recipient to another.
  local function addRecord(a, key, o)
    local r = recordFor(a, key)
    addHolds(r[4], o[4])
    r[2], r[3] = o[2] > r[2] and o[2] or r[2], o[3] > r[3] and o[3] or r[3]
    for _, debt in ipairs(o[5]) do
      insert(r[5], debt)
    end
    for _, f in ipairs(o[6]) do
      f = keyed(f, key)
      local has = false
      for _, mine in ipairs(r[6]) do
        has = has or mine == f
      end
      if not has then
        insert(r[6], f)
      end
    end
    return r
  end

  -- answered carries out that a recipient has replied: what they got up to then
  -- is good.
  function M.answered(a, key)
    local r = record(a, key)
    if not r then
      return
    end
    local kept, homes = {}, {a}
    local scopes = get(a, 's')
    for _, name in ipairs(scopes and decode(scopes) or {}) do
      local o = of(name)
      local own = recordFor(o, key)
      own[2], own[3] = r[2] > own[2] and r[2] or own[2], r[3] > own[3] and r[3] or own[3]
      homes[#homes + 1] = o
    end
    for _, f in ipairs(r[6]) do
      local k = kind('a')
      local to = counter(a, k, f)
      if to then
        k.answered(a, f, to, r[2], homes)
        if to[4] then
          kept[#kept + 1] = f
        end
      end
    end
    r[6] = kept
    a.dirty['k|' .. key] = 'r'
  end

  -- counters lists the counters of a key.
  local function countersOf(a, key)
    local list = {}
    for _, f in ipairs(M.all(a)) do
      if isCounter(f) and keyOf(f) == key then
        list[#list + 1] = f
      end
    end
    return list
  end

  -- rename lets what the counters of an account have counted for a thread count
  -- for its recipient.
  function M.rename(a, thread, is)
    for _, f in ipairs(M.all(a)) do
      if isCounter(f) and sub(f, -1) == '|' then
        local k = whole(kind(sub(f, 1, 1)))
        local c = counter(a, k, f)
        if c and k.same then
          k.same(c, thread, is)
          a.dirty[f] = k
        end
      end
    end
  end

  -- move adds the counters of a key to those of another.
  function M.move(a, thread, is)
    for _, f in ipairs(countersOf(a, thread)) do
      local k = kind(sub(f, 1, 1))
      local c = counter(a, k, f)
      if c then
        addCounter(a, keyed(f, is), c)
        a.c[f], a.dirty[f] = false, k
      end
    end
  end

  -- become lets a thread stand for a recipient, with all that it had counted.
  function M.become(a, thread, is)
    M.move(a, thread, is)
    local r = recordFor(a, thread)
    addRecord(a, is, r)
    a.r['k|' .. thread] = {is, 0, 0, {}, {}, {}}
    a.dirty['k|' .. thread] = 'r'
  end

  -- absorb adds what another account has counted to a's, and has it stand for a.
  function M.absorb(a, o)
    M.all(a)
    local keys, seen = {}, {}
    local function saw(key)
      if key ~= '' and not seen[key] then
        seen[key] = true
        keys[#keys + 1] = key
      end
    end
    for _, f in ipairs(M.all(o)) do
      local two = sub(f, 1, 2)
      if two == 'k|' then
        local key, old = sub(f, 3), record(o, sub(f, 3))
        if old then
          local r = addRecord(a, key, old)
          if r[1] == '' and old[1] ~= '' then
            -- Two may stand for each other, one in each account.
            local is = canonical(a, old[1])
            if is ~= key then
              r[1] = is
            end
          end
          saw(key)
        end
      elseif two == 'm|' then
        local theirs, mine = decode(get(o, f)), get(a, f)
        if not mine or decode(mine)[2] < theirs[2] then
          set(a, f, get(o, f))
        end
      elseif isCounter(f) then
        local c = counter(o, kind(sub(f, 1, 1)), f)
        if c then
          addCounter(a, f, c)
          saw(keyOf(f))
        end
      end
    end
    if o.f.h then
      addHolds(holdsOf(a), holdsOf(o))
      local kept = {}
      for _, h in ipairs(a.holds) do
        if active(h) or h[2] + (h[4] > h[6] and h[4] or h[6]) > now then
          kept[#kept + 1] = h
        end
      end
      a.holds = kept
      keepHolds(a)
    end
    for _, field in ipairs({'g', 's'}) do
      if o.f[field] then
        local list, has = get(a, field) and decode(a.f[field]) or {}, {}
        for _, e in ipairs(list) do
          has[field == 'g' and e[1] or e] = true
        end
        for _, e in ipairs(decode(o.f[field])) do
          if not has[field == 'g' and e[1] or e] then
            insert(list, e)
          end
        end
        set(a, field, json(list))
      end
    end
    lasts(a, o.f.x == '0' and NEVER or tonumber(o.f.x or '0') - LINGERS)
    -- What a thread has counted in one of them, and was known to be somebody's
    -- in the other, comes to that recipient.
    sort(keys)
    for _, key in ipairs(keys) do
      local r = record(a, key)
      local is = key
      if r and r[1] ~= '' and sub(key, 1, 1) ~= '~' then
        local more = r[2] > 0 or r[3] > 0 or #r[4] > 0 or #r[5] > 0 or #r[6] > 0 or #countersOf(a, key) > 0
        if more then
          is = canonical(a, r[1])
          local alias = r[1]
          r[1] = ''
          M.become(a, key, is)
          a.r['k|' .. key][1] = alias
          M.rename(a, key, is)
        end
      end
      if sub(key, 1, 1) ~= '~' then
        M.answered(a, is)
      end
    end
    -- The bookings follow, with the counters that they wait for.
    if short(o) then
      local list = {}
      for _, res in ipairs(Q().load(o)) do
        list[#list + 1] = res
      end
      for _, res in ipairs(list) do
        Q().take(o, res)
        Q().add(a, res)
      end
    end
    Q().load(o)
    Q().load(a)
    for id, res in pairs(o.moot) do
      a.moot[id] = res
      Q().book(a, id, pack(res))
    end
    o.became = a.name
  end

  -- surrender leaves nothing of an account but for whom it stands.
  function M.surrender(o)
    call('DEL', o.key, o.books)
    call('HSET', o.key, 'n', format('%d', now), 'l', o.became, 'x', '0')
    o.dirty, o.booked = {}, nil
  end

  -- sameAs lets a thread stand for a recipient; one that already stands for
  -- another says nothing new.
  function M.sameAs(a, thread, is)
    local r = record(a, thread)
    if r and r[1] ~= '' then
      return
    end
    is = canonical(a, is)
    if is == thread then
      return
    end
    M.become(a, thread, is)
    M.rename(a, thread, is)
    local scopes = get(a, 's')
    for _, name in ipairs(scopes and decode(scopes) or {}) do
      local o = of(name)
      M.rename(o, thread, is)
      M.move(o, thread, is)
    end
    M.answered(a, is)
  end

  return M
end
