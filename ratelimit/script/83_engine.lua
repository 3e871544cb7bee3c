-- What a store does with reservations that are there: moving bookings, giving
-- them back, and finding out that a thread is somebody. See reservation.go.
local function engine()
  local x = X()
  local spread, get, set, counter, of, record, canonical, threads, keyOf, keyed, active, kind, whole, parse, GO, BOOKED,
    LATER, REFUSED, GONE, pack, R, short, Q, fieldsOf, attempt = x.spread, x.get, x.set, x.counter, x.of, x.record, x.canonical, x.threads, x.keyOf, x.keyed, x.active, x.kind, x.whole,
    x.parse, x.GO, x.BOOKED, x.LATER, x.REFUSED, x.GONE, x.pack, x.R, x.short, x.Q, x.fieldsOf, x.attempt
  local E = {}

  -- canon gives demands the recipients in place of the threads that stand for
  -- them; demands on one counter become one. It returns whether any changed.
  function E.canon(a, ds, n)
    local changed = false
    for i = 1, n do
      local d = ds[i]
      d.shown = d.f
      local function rename(who)
        local is = canonical(a, who)
        changed = changed or is ~= who
        return is
      end
      local key = d.keyed and keyOf(d.f)
      if key then
        d.f = keyed(d.f, rename(key))
      end
      local x = d.k.extras and d.A[d.b + d.k.params - 1]
      local list = type(x) == 'table' and x[5]
      if list or d.k.stride > 3 then
        local A = {}
        for j = 1, #d.A do
          A[j] = d.A[j]
        end
        d.A = A
        if list then
          local copy, renamed = {}, {}
          for j, v in ipairs(x) do
            copy[j] = v
          end
          for j, who in ipairs(list) do
            renamed[j] = who ~= '' and rename(who) or ''
          end
          copy[5], A[d.b + d.k.params - 1] = renamed, copy
        end
        if d.k.stride > 3 then
          local seen, own = {}, {}
          for j = d.from, d.from + d.k.stride * d.claims - 1, d.k.stride do
            if A[j + 3] ~= '' then
              A[j + 3] = rename(A[j + 3])
            end
          end
          for _, who in ipairs(d.own) do
            who = who ~= '' and canonical(a, who) or ''
            if not seen[who] then
              seen[who] = true
              own[#own + 1] = who
            end
          end
          d.own = own
        end
      end
    end
    if not changed then
      return ds, n, false
    end
    local list, by = {}, {}
    for i = 1, n do
      local d = ds[i]
      local name = d.a.name .. '\v' .. d.f
      local was = by[name]
      if not was then
        by[name], list[#list + 1] = d, d
      else
        -- The claims of both follow the parameters of the first.
        local A = {}
        for j = was.b - 4, was.from + was.k.stride * was.claims - 1 do
          A[#A + 1] = was.A[j]
        end
        for j = d.from, d.from + d.k.stride * d.claims - 1 do
          A[#A + 1] = d.A[j]
        end
        local x, y = A[4 + was.k.params], d.k.extras and d.A[d.b + d.k.params - 1]
        if type(x) == 'table' and x[5] and type(y) == 'table' and y[5] then
          local both = {x[1], x[2], x[3], x[4], {}}
          for _, l in ipairs({x[5], y[5]}) do
            for _, who in ipairs(l) do
              insert(both[5], who)
            end
          end
          A[4 + was.k.params] = both
        end
        was.from, was.b, was.A = was.from - was.b + 5, 5, A
        was.claims = was.claims + d.claims
        was.cost, was.wait = was.cost + d.cost, d.wait < was.wait and d.wait or was.wait
        for _, who in ipairs(d.own or {}) do
          local has = false
          for _, o in ipairs(was.own) do
            has = has or o == who
          end
          if not has then
            insert(was.own, who)
          end
        end
      end
    end
    return list, #list, true
  end

  -- keysOf lists the keys and recipients of demands.
  function E.keysOf(ds, n)
    local keys = {}
    for i = 1, n do
      local d = ds[i]
      if d.keyed then
        keys[#keys + 1] = keyOf(d.f)
      end
      for _, who in ipairs(d.own or {}) do
        keys[#keys + 1] = who
      end
      local x = d.k.extras and d.A[d.b + d.k.params - 1]
      for _, who in ipairs(type(x) == 'table' and x[5] or {}) do
        keys[#keys + 1] = who
      end
    end
    return keys
  end

  -- expire gives back the bookings that nobody fired within a minute.
  function E.expire(a)
    local s = short(a)
    while s and s.count > 0 and s.first + 60000 < now do
      local res = Q().load(a)[1]
      if not res or res.slot + 60000 >= now then
        return
      end
      Q().take(a, res)
      R().giveBack(a, res)
      R().unmark(a, res)
      a.abandoned = (a.abandoned or 0) + 1
      s = short(a)
    end
  end

  -- withdraw takes the bookings that came after another off the books and
  -- refunds what they charged, which they still name.
  function E.withdraw(a, after)
    local gone = {}
    if not short(a) then
      return gone
    end
    for _, res in ipairs(Q().load(a)) do
      if res.order > after then
        gone[#gone + 1] = res
      end
    end
    for _, res in ipairs(gone) do
      Q().take(a, res)
    end
    for _, res in ipairs(gone) do
      local fields = R().fields(res)
      for _, ch in ipairs(res.charges) do
        R().takeBack(a, res, fields, ch)
      end
    end
    return gone
  end

  local function split(text)
    local list = {}
    for w in gmatch(text, '[^\t]+') do
      list[#list + 1] = w
    end
    return list
  end

  -- watched are the services and recipients of a booking, and the scopes in the
  -- order of its claims' numbers.
  function E.watched(res)
    local services, recipients, scopes = match(res.watches, '^([^;]*);?([^;]*);?(.*)$')
    return split(services), split(recipients), split(scopes)
  end

  -- rebook books withdrawn messages again, in their order: at their slots, where
  -- there still is room, or later. Those that cannot wait that long have been
  -- given back; whoever fires them hears of it. It returns whether any lost its slot.
  function E.rebook(a, list)
    local moved = false
    for _, res in ipairs(list) do
      local slot = res.slot
      local dropped = R().dropped(res)
      local services, recipients, scopes = E.watched(res)
      local homes = {a}
      for i, scope in ipairs(scopes) do
        homes[i + 1] = of(scope)
      end
      local ds, n = parse(res.json, homes, dropped, res.free)
      for i = 1, n do
        ds[i].dropped = dropped
      end
      if threads(a, E.keysOf(ds, n)) then
        ds, n = E.canon(a, ds, n)
      end
      local oldFields, bound = R().fields(res), {}
      for _, ch in ipairs(res.charges) do
        if ch[4] % 2 == 1 then
          bound[oldFields[ch[1]]] = true
        end
      end
      local verdict, at, charges, reply = attempt(a, ds, n, {
        id = res.id, frac = res.frac, arrived = res.arrived < now and res.arrived or now, from = res.slot, place = res.order,
        services = services, recipients = recipients, dropped = dropped, free = res.free,
      })
      spread(charges)
      local fields, named = fieldsOf(ds, n)
      local again = match(res.reply, '|(%d)$') or '0'
      if verdict > BOOKED then
        if verdict == LATER and match(reply, '^%d+,%d+,%-?%d+,(%-?%d+)') == '-1' then
          -- A recipient's hold: nothing is booked for that, but there is time,
          -- so whoever fires it is to ask again.
          reply = format('%d,%d,%d,0,-1||||0', GONE, now, now)
          fields = ''
        else
          reply = REFUSED .. sub(reply, 2) .. '|' .. again
        end
        R().unmark(a, res)
        res.state, res.slot, res.charges, res.fields, res.json, res.reply = 'M', at, {}, fields, '', reply
        Q().load(a)
        a.moot[res.id] = res
        Q().book(a, res.id, pack(res))
      else
        -- It waits for what it waited for, though by now there may be room.
        local held = {}
        for _, ch in ipairs(charges) do
          if bound[named[ch[1]]] and ch[4] % 2 == 0 then
            ch[4] = ch[4] + 1
          end
          if ch[4] % 2 == 1 then
            held[ch[1]] = true
          end
        end
        local top, uses, rest = match(reply, '^([^|]*)|([^|]*)|(.*)$')
        rest = rest .. '|' .. again
        local i = 0
        uses = gsub(uses, '[^;]+', function(u)
          i = i + 1
          local front, flags, back = match(u, '^(%d+,%d+),(%d+)(.*)$')
          if held[i] and flags % 2 == 0 then
            flags = flags + 1
          end
          return front .. ',' .. flags .. back
        end)
        if at == res.slot or verdict == GO then
          -- The decision of before, with this slot and these uses.
          local v, asked, _, limit, fits, why = match(res.reply, '^(%d+),(%d+),(%-?%d+),(%-?%d+),(%-?%d+)|[^|]*|(.*)$')
          limit = tonumber(limit)
          if limit > 0 then
            for j = 1, n do
              if named[j] == oldFields[limit] then
                limit = j
                break
              end
            end
          end
          top, rest = format('%s,%s,%d,%d,%s', v, asked, at, limit, fits), why
        end
        res.reply = top .. '|' .. uses .. '|' .. rest
        res.fields, res.charges, res.slot = fields, charges, at
        Q().add(a, res)
      end
      moved = moved or res.state ~= 'B' or res.slot ~= slot
    end
    return moved
  end

  -- requeue books an account's waiting messages again, because a hold reaches
  -- beyond their slots.
  function E.requeue(a)
    E.rebook(a, E.withdraw(a, 0))
  end

  -- kept notes what a booking has that is replaced only for the better; nil where
  -- it has nothing to lose. See sooner.go.
  function E.kept(a, res)
    E.expire(a)
    if res.state == 'M' or a.booked and a.booked[res.id] == false then
      return nil
    end
    local fields, bound = R().fields(res), {}
    for _, ch in ipairs(res.charges) do
      if ch[4] % 2 == 1 then
        bound[fields[ch[1]]] = true
      end
    end
    local ds, n = parse(res.json, {a, {}, {}, {}, {}, {}, {}, {}, {}}, R().dropped(res), res.free)
    local waits = {}
    for i = 1, n == #fields and n or 0 do
      waits[fields[i]] = ds[i].wait
    end
    return {slot = res.slot, token = res.token, bound = bound, waits = waits, answer = res.token .. '\n' .. res.reply .. '\n' .. res.fields}
  end

  -- worth reports whether it is better off replaced, or refused whatever came
  -- after it.
  function E.worth(kept, ds, n, verdict, at, reply)
    if verdict ~= REFUSED then
      return verdict == GO or verdict == BOOKED and at < kept.slot
    end
    local limit, fits = match(reply, '^%d+,%d+,%-?%d+,(%-?%d+),(%-?%d+)')
    limit = tonumber(limit)
    local d = ds[limit]
    if not d then -- a hold
      return false
    end
    if at == 0 then
      return tonumber(fits) >= 0 and d.plain and d.cost > d.allow and (d.allow <= 0 or not find(d.f, '^%u'))
    end
    local _, named = fieldsOf(ds, n)
    local f = named[limit]
    return at <= kept.slot and kept.bound[f] == true and kept.waits[f] ~= nil and kept.waits[f] > d.wait
  end

  -- sweep forgets recipients for whom nothing lasts: where counters were added,
  -- twice as many are looked at, by chance, so that no more than half of what
  -- an account keeps is dead.
  function E.sweep(a)
    local some = call('HRANDFIELD', a.key, format('%d', a.grew < 16 and 2 * a.grew or 32))
    for _, f in ipairs(some) do
      local letter = sub(f, 1, 2)
      if letter == 'k|' then
        local r = record(a, sub(f, 3))
        if r and not a.dirty[f] then
          local at, kept, holds = now - LINGERS, {}, {}
          for _, o in ipairs(r[5]) do
            if o[3] + LINGERS > now then
              kept[#kept + 1] = o
            end
          end
          for _, h in ipairs(r[4]) do
            if active(h) or h[2] + (h[4] > h[6] and h[4] or h[6]) > at then
              holds[#holds + 1] = h
            end
          end
          if #kept < #r[5] or #holds < #r[4] or r[2] > 0 and r[2] <= at then
            r[4], r[5] = holds, kept
            if r[2] <= at then
              r[2] = 0
            end
            a.dirty[f] = 'r'
          end
        end
      elseif letter == 'm|' then
        if not a.dirty[f] and decode(get(a, f))[2] + DAY <= now then
          set(a, f, false)
        end
      elseif find(f, '|.*|.') and not a.dirty[f] then
        local k = whole(kind(sub(f, 1, 1)))
        local c = counter(a, k, f)
        if c and k.over(c, now - LINGERS, a, f) then
          a.c[f], a.dirty[f] = false, k
        end
      end
    end
  end

  return E
end
