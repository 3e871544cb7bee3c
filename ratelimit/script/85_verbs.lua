-- The other verbs.
local function verbs()
  local x = X()
  local H, names, open, head, get, set, lasts, ensure, json, flush, of, record, recordFor, canonical, threads,
    holdsOf, keepHolds, active, halt, whole, parse, GO, chargeOf, keepRecord, R, Q, look, take, owe, E, M,
    idKey, answer, flushAll =
    x.H, x.names, x.open, x.head, x.get, x.set, x.lasts, x.ensure, x.json, x.flush, x.of, x.record, x.recordFor,
    x.canonical, x.threads, x.holdsOf, x.keepHolds, x.active, x.halt, x.whole, x.parse, x.GO, x.chargeOf,
    x.keepRecord, x.R, x.Q, x.look, x.take, x.owe, x.E, x.M, x.idKey, x.answer, x.flushAll
  -- enter opens the account; it returns an answer where it stands for another.
  local function enter()
    local a = open(1)
    head(a, {})
    for i = 2, #names do
      of(names[i])
    end
    return a, a.f.l and answer('m', a.f.l)
  end

  -- opened finds an open reservation of a token; '' is any.
  local function opened(a, id, token)
    local text = call('HGET', a.books, id)
    if not text then
      text = call('GET', idKey)
      if not text or sub(text, 1, 1) ~= 'G' then
        return nil
      end
    end
    local res = R().unpack(id, text)
    if token ~= '' and res.token ~= token then
      return nil
    end
    return res
  end

  local function fire()
    local a, moved = enter()
    if moved then
      return moved
    end
    local id = H[2]
    if H[4] > now then -- on the server of another part of it
      now = H[4]
    end
    local res = opened(a, id, H[3])
    if res and res.state == 'B' then
      E().expire(a)
      if a.booked and a.booked[id] == false then
        res = nil
      end
    end
    if not res then
      flushAll()
      return answer('g')
    end
    if res.state == 'G' then
      R().eachLease(a, res, function(k, c, ch)
        k.lease(c, id, ch[2], ch[3])
      end)
      keepRecord(idKey, res)
    elseif res.state == 'B' and res.slot <= now then
      local services, recipients = E().watched(res)
      if halt(a, services, recipients).till > 0 then
        E().requeue(a)
        local text = a.booked[id]
        res = text and R().unpack(id, text) or res
      else
        Q().take(a, res)
        -- A shadow limit of what is on its way begins now.
        local dropped, fields = R().dropped(res), R().fields(res)
        local ds, n = parse(res.json, {a, {}, {}, {}, {}, {}, {}, {}, {}}, dropped, res.free)
        for i = 1, n do
          local d = ds[i]
          if d.k.leases and d.cost > 0 then
            local o, field = R().place(a, fields[i])
            local c = ensure(o, d.k, field)
            for j = d.from, d.from + 3 * d.claims - 1, 3 do
              if d.A[j + 1] > 0 and not (dropped and dropped[d.A[j]]) then
                d.k.lease(c, id, d.A[j], d.A[j + 1])
                insert(res.charges, {i, d.A[j], d.A[j + 1], 0, ''})
              end
            end
          end
        end
        local asked, at, fits, uses, again = match(res.reply, '^%d+,(%d+),(%-?%d+),%-?%d+,(%-?%d+)(|[^|]*)|[^|]*|[^|]*|(%d)$')
        res.state, res.json = 'G', ''
        res.reply = format('%d,%s,%s,0,%s%s|||%s', GO, asked, at, fits, uses, again)
        keepRecord(idKey, res)
        if res.same ~= '' then
          local text = get(a, 'm|' .. res.same)
          local mark = text and decode(text)
          if mark and mark[1] == id then
            mark[4] = now
            set(a, 'm|' .. res.same, json(mark))
          end
        end
      end
    end
    if res.state == 'M' then
      Q().book(a, id, false)
      call('DEL', idKey)
    end
    flushAll()
    return answer('f', res.reply .. '\n' .. res.fields)
  end

  -- tell lets the other processes know of an end that some of them may wait for:
  -- places became free, or the message was asked for again. Who may not publish
  -- ends it all the same.
  local function tell(again)
    local channel, always, news = match(ARGV[3], '^([^\n]*)\n(%d)\n(.*)$')
    if channel and (again or always == '1') then
      redis.pcall('PUBLISH', channel, news)
    end
  end

  -- close ends a reservation: as spent, or with all of it given back.
  local function close(back)
    local a, moved = enter()
    if moved then
      return moved
    end
    local id, token = H[2], H[3]
    local res = opened(a, id, token)
    if not res then
      local other = call('GET', idKey)
      if token ~= '' and (not other or sub(other, 1, 1) == 'X') then
        R().close(idKey, token) -- it may still be on its way here
      end
      return answer('o')
    end
    if res.state == 'B' then
      Q().take(a, res)
    elseif res.state == 'M' then
      Q().book(a, id, false)
    end
    local again = false
    if back then
      again = R().unmark(a, res)
      R().giveBack(a, res)
    else
      R().eachLease(a, res, function(k, c, ch)
        k.unlease(c, id, ch[2])
      end)
      local text = res.same ~= '' and get(a, 'm|' .. res.same)
      local mark = text and decode(text)
      if mark and mark[1] == id then
        mark[3], again = 0, mark[5] == 1
        set(a, 'm|' .. res.same, json(mark))
      end
    end
    R().close(idKey, res.token)
    flushAll()
    tell(again)
    return answer('o')
  end

  local function cancelItems()
    local a, moved = enter()
    if moved then
      return moved
    end
    local id, items = H[2], {}
    local res = opened(a, id, H[3])
    if not res then
      return answer('o')
    end
    for _, item in ipairs(H[4]) do
      items[item] = true
    end
    if res.state == 'B' then
      Q().take(a, res)
    end
    R().giveBack(a, res, items)
    local again = false
    if #res.charges == 0 then
      if res.state == 'M' then
        Q().book(a, id, false)
      end
      again = R().unmark(a, res)
      R().close(idKey, res.token)
    elseif res.state == 'B' then
      for item in pairs(items) do
        res.dropped = res.dropped .. format('%d,', item)
      end
      Q().add(a, res)
    else
      keepRecord(idKey, res)
    end
    flushAll()
    tell(again)
    return answer('o')
  end

  local function lift(list)
    local lifted, kept = false, {}
    for _, h in ipairs(list) do
      if active(h) then
        h[2], lifted = now, true
      end
    end
    if not lifted then
      return list, false
    end
    for _, h in ipairs(list) do
      if h[2] + (h[4] > h[6] and h[4] or h[6]) > now then
        kept[#kept + 1] = h
      end
    end
    return kept, true
  end

  -- pause sets a person's hold (name, until, why, ramp), or lifts them all.
  local function pause()
    local a, moved = enter()
    if moved then
      return moved
    end
    local h = H[2]
    if h == 0 then
      if not a.f.n then
        return answer('o')
      end
      local lifted
      a.holds, lifted = lift(holdsOf(a))
      if lifted then
        keepHolds(a)
      end
      for _, f in ipairs(M().all(a)) do
        if sub(f, 1, 2) == 'k|' then
          local r = record(a, sub(f, 3))
          if r and #r[4] > 0 then
            r[4], lifted = lift(r[4])
            if lifted then
              a.dirty[f] = 'r'
            end
          end
        end
      end
    else
      local list, mine = holdsOf(a), nil
      for _, o in ipairs(list) do
        if o[1] == h[1] then
          mine = o
        end
      end
      if mine then
        mine[2], mine[3], mine[4] = h[2], h[3], h[4]
      else
        list[#list + 1] = {h[1], h[2], h[3], h[4], 0, 0, {}}
      end
      keepHolds(a)
      a.dirty.n, a.f.n = true, format('%d', now)
    end
    flushAll()
    return answer('o')
  end

  -- cool: key, name, why, for, least, grow, max, resumed, ramp, id.
  local function cool()
    local a, moved = enter()
    if moved then
      return moved
    end
    local key, name, why, for_, least, grow, most, resumed, ramp, id =
      H[2], H[3], H[4], H[5], H[6], H[7], H[8], H[9], H[10], H[11]
    local list, field
    if key ~= '' then
      key = canonical(a, key)
      list, field = recordFor(a, key)[4], 'k|' .. key
    else
      list = holdsOf(a)
    end
    local h
    for _, o in ipairs(list) do
      if o[1] == name then
        h = o
      end
    end
    local function said()
      return answer('h', format('%d,%d,%s,%s', h[2], h[4], h[1], h[3]))
    end
    if not h then
      h = {name, -1, '', 0, 0, 0, {}}
      list[#list + 1] = h
    elseif id ~= '' then
      for _, known in ipairs(h[7]) do
        if known == id then
          return said()
        end
      end
    end
    local lasting = for_
    if h[2] >= 0 and active(h) then
      lasting = h[5] > lasting and h[5] or lasting
    elseif h[2] > 0 and grow > 0 and now - h[2] <= most then
      local grown = floor(h[5] / 1000) * grow + floor(h[5] % 1000 * grow / 1000)
      grown = grown < most and grown or most
      lasting = grown > lasting and grown or lasting
    end
    lasting = least > lasting and least or lasting
    local till = now + lasting
    if resumed == 1 or h[2] == 0 then
      till = 0
    elseif h[2] > till then
      till = h[2]
    end
    h[2], h[3], h[4], h[5], h[6] = till, why, ramp, lasting, most
    insert(h[7], id)
    if #h[7] > 16 then
      remove(h[7], 1)
    end
    if field then
      a.dirty[field] = 'r'
      lasts(a, till == 0 and NEVER or till + (ramp > most and ramp or most))
    else
      keepHolds(a)
    end
    a.dirty.n, a.f.n = true, format('%d', now)
    flushAll()
    return said()
  end

  -- observe: recipient, kind (1 replied, 2 connected, 3 same as), who, at.
  local function observe()
    local a, moved = enter()
    if moved then
      return moved
    end
    local who, what, is, at = H[2], H[3], H[4], H[5]
    if at == 0 or at > now then
      at = now
    end
    if what == 3 then
      M().sameAs(a, who, is)
      a.ends = NEVER
      flushAll()
      return answer('o')
    end
    who = canonical(a, who)
    local r = record(a, who)
    if r and at <= (what == 1 and r[2] or r[3]) then
      return answer('o')
    end
    r = recordFor(a, who)
    a.ends = NEVER
    if what == 2 then
      r[3] = at
      M().answered(a, who)
    else
      r[2] = at
      local kept = {}
      for _, o in ipairs(r[5]) do
        if o[6] == 0 and o[2] <= at and at < o[3] and now < o[3] + LINGERS then
          R().refund(a, {o[4]}, (function()
            local ch = chargeOf(o[5])
            ch[1] = 1
            ch[4] = ch[4] % 4 -- it was sent: the counter has begun
            return ch
          end)())
          o[6] = 1
        end
        kept[#kept + 1] = o
      end
      M().answered(a, who)
    end
    a.dirty.n, a.f.n = true, format('%d', now)
    flushAll()
    return answer('o')
  end

  -- give: id, limit, units, end.
  local function give()
    local a, moved = enter()
    if moved then
      return moved
    end
    local list, kept = a.f.g and decode(a.f.g) or {}, {}
    for _, g in ipairs(list) do
      if g[4] == 0 or g[4] + LINGERS > now then
        kept[#kept + 1] = g
        if g[1] == H[2] then
          return answer('o')
        end
      end
    end
    kept[#kept + 1] = {H[2], H[3], H[4], H[5]}
    set(a, 'g', json(kept))
    lasts(a, H[5] == 0 and NEVER or H[5])
    a.dirty.n, a.f.n = true, format('%d', now)
    flushAll()
    return answer('o')
  end

  -- freeze makes an account stand for another on another server of a Cluster, and
  -- returns all that it had counted, for absorb there. It is kept beside it until
  -- that is done, and is the answer to whoever asks again.
  local function freeze()
    local a, target = open(1), H[2]
    head(a, {})
    if a.f.l and a.f.l ~= target then
      return answer('m', a.f.l)
    end
    if not a.f.l then
      local list = {}
      for _, key in ipairs({a.key, a.books}) do
        for _, text in ipairs(call('HGETALL', key)) do
          list[#list + 1] = format('%d:%s', #text, text)
        end
        list[#list + 1] = '-'
      end
      call('DEL', a.key, a.books)
      call('HSET', a.key, 'n', format('%d', now), 'l', target, 'x', '0')
      if a.f.n then
        call('HSET', a.books, 'moving', concat(list))
      end
    end
    return answer('z', call('HGET', a.books, 'moving') or '')
  end

  -- thaw: what froze has been absorbed.
  local function thaw()
    call('DEL', KEYS[2])
    return answer('o')
  end

  -- absorb adds what an account on another server had counted, once.
  local function absorb()
    local a, moved = enter()
    if moved then
      return moved
    end
    local mark = 'm|~z' .. H[2]
    if get(a, mark) then
      return answer('o')
    end
    local text, at, maps = ARGV[3], 1, {{}, {}}
    for i = 1, 2 do
      local name
      while sub(text, at, at) ~= '-' do
        local size, from = match(text, '^(%d+):()', at)
        local value = sub(text, from, from + size - 1)
        at = from + size
        if name then
          maps[i][name], name = value, nil
        else
          name = value
        end
      end
      at = at + 1
    end
    local o = {name = H[2], f = maps[1], c = {}, r = {}, dirty = {}, booked = maps[2], ends = 0, whole = true}
    M().absorb(a, o)
    set(a, mark, json({H[2], now, 0, now}))
    flush(a)
    return answer('o')
  end

  -- charge: what is known to have been sent at a time, whatever the room, once.
  -- H: names, id, at, fraction, how many scopes, same, keys.
  local function charge()
    local a, moved = enter()
    if moved then
      return moved
    end
    local id, at, same = H[2], H[3], H[6]
    if at <= 0 or at > now then
      at = now
    end
    local known = get(a, 'm|~c' .. id)
    if call('GET', idKey) or known and decode(known)[1] == id then
      return answer('o')
    end
    local homes = {a}
    for i = 2, 1 + H[5] do
      homes[i] = of(names[i])
    end
    local ds, n = parse(ARGV[3], homes)
    for i = 1, n do
      local d = ds[i]
      if d.k.windows and (at < d.A[d.b] or at >= d.A[d.b + 6]) then
        return answer('s', format('%d', i))
      end
    end
    local others, news = M().strangers(a, 2 + H[5])
    for i = 1, #others do
      M().absorb(a, others[i])
    end
    if threads(a, H[7]) then
      ds, n = E().canon(a, ds, n)
    end
    look(a, ds, n, id, H[4], 0)
    local charges = {}
    for i = 1, n do
      local d = ds[i]
      if d.cost > 0 and not d.k.leases then
        take(d, i, at, charges)
        if d.x ~= 0 and d.x[3] > 0 then
          owe(a, id, d, i, charges, at)
        end
      end
    end
    local there = same ~= '' and get(a, 'm|' .. same)
    if same ~= '' and not (there and decode(there)[2] > at) then
      set(a, 'm|' .. same, json({id, at, 0, at}))
    end
    set(a, 'm|~c' .. id, json({id, now, 0, now}))
    for i = 1, #others do
      M().surrender(others[i])
    end
    flushAll()
    return answer('o')
  end

  return {
    fire = fire, cancelItems = cancelItems, pause = pause, cool = cool, observe = observe, give = give, charge = charge,
    freeze = freeze, thaw = thaw, absorb = absorb,
    keep = function() return close(false) end, cancel = function() return close(true) end,
  }
end
