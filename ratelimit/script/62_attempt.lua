-- One try: a request's counters are found, it is decided, and charged if it may
-- go or is booked. See attempt.go.

-- look finds the counters of demands, and the tails before a place.
local function look(a, ds, n, id, frac, place)
  local shaded = false
  asked.me, asked.id, asked.frac, asked.place = a, id, frac, place
  for i = 1, n do
    local d = ds[i]
    local o = d.a
    local s = short(o)
    if s then
      d.tails = s.tails
      if place > 0 and s.guests > 0 then
        d.tails = Q().tails(o, place)
      end
    end
    local k = d.k
    if not (k.apart or k.empty) then
      d.c = counter(o, k, d.f)
    end
    if k.extras then
      d.x = d.A[d.b + k.params - 1]
    end
    if d.x ~= 0 or o.f.g or o.f.h then
      d.plain = plain(d)
    end
    shaded = shaded or d.shadow
  end
  return shaded
end

-- take charges a demand at a slot: its claims' charges are added to the list. It
-- returns what is used then, and when that falls, where the measure says so.
local function take(d, i, at, charges, dropped, free)
  local k, A, o = d.k, d.A, d.a
  local c = d.c
  if k.apart or k.empty then
    c = nil
  elseif not c then
    c = k.new()
    d.c, o.c[d.f] = c, c
    if d.keyed then
      o.grew = (o.grew or 0) + 1
    end
    o.dirty[d.f] = k
  else
    o.dirty[d.f] = k
  end
  if o ~= asked.me and not k.empty and not k.leases and (d.keyed or d.k.stride > 3 or d.x ~= 0 and d.x[5]) then
    asked.me.guest = asked.me.guest or {}
    asked.me.guest[o.name] = true
  end
  local who, number, using, resets = nil, 0, nil, nil
  for j = d.from, d.from + d.k.stride * d.claims - 1, d.k.stride do
    number = number + 1
    local cost = A[j + 1]
    if cost > 0 and not free and not (dropped and dropped[A[j]]) then
      if d.k.stride > 3 then
        who = A[j + 3]
      elseif d.x ~= 0 and d.x[5] then
        who = some(d.x[5][number])
      end
      local data, warned, ends, took, split, where, used, falls = k.charge(c, d, cost, at, who, j)
      using, resets = used, falls
      if data then
        lasts(o, ends)
        local flags = (d.short and not d.shadow and 1 or 0) + (warned and 2 or 0)
        if c then
          if c[1] == 0 or c[1] == at then
            flags = flags + 4
          end
          if c[1] == 0 or at < c[1] then
            c[1] = at
          end
        end
        if warned then
          d.warned = true
        end
        local n = #charges + 1
        if who or where or split then
          charges[n] = {i, A[j], took, flags, data, who and some(who), where, split}
        else
          charges[n] = format('%d,%d,%d,%d,%s', i, A[j], took, flags, data)
        end
      end
    end
  end
  return using, resets
end

-- fieldName is a demand's field as a reservation names it.
local function fieldName(d)
  if d.a == asked.me then
    return d.f
  end
  return d.a.name .. '\v' .. d.f
end

-- fieldsOf names the fields of demands; where a thread stands for somebody, a
-- second list has the names that were asked for.
local function fieldsOf(ds, n)
  local named, shown, any = {}, {}, false
  for i = 1, n do
    local d = ds[i]
    named[i] = fieldName(d)
    shown[i] = d.shown or d.f
    any = any or shown[i] ~= d.f
  end
  local text = concat(named, '\t')
  return any and text .. '\f' .. concat(shown, '\t') or text, named
end

-- owe notes the charges that a reply would give back.
local function owe(a, id, d, i, charges, at)
  local until_ = at + d.x[3]
  local from = #charges -- its own are the last
  while from > 0 and (type(charges[from]) == 'string' or charges[from][1] == i) do
    from = from - 1
  end
  for j = from + 1, #charges do
    local ch = charges[j]
    if type(ch) == 'table' and ch[6] then
      local r = recordFor(a, canonical(a, ch[6]))
      if not r.tidy then
        local kept = {}
        for _, o in ipairs(r[5]) do
          -- What was given back is remembered for as long as its reservation.
          if o[3] + LINGERS > now and not (o[6] == 1 and o[2] + 3600000 < now) then
            kept[#kept + 1] = o
          end
        end
        r[5], r.tidy = kept, true
      end
      insert(r[5], {id, at, until_, fieldName(d), chargeText(ch), 0})
      lasts(a, until_ + LINGERS)
    end
  end
end

-- attempt decides, for a slot not before from and in its place, and charges
-- what may go or is booked. It returns the verdict, the slot, the charges and
-- the decision as text.
local function attempt(a, ds, n, t)
  local held
  if a.f.h or t.services[1] or t.recipients[1] then
    held = halt(a, t.services, t.recipients, t.all)
  end
  local shaded = look(a, ds, n, t.id, t.frac, t.place)
  local verdict, at, limit, fits = decide(held, ds, n, t.arrived, t.from, shaded)
  local shown, charges, uses = now, {}, {}
  if verdict <= BOOKED then
    shown = at
    if not t.dry then
      for i = 1, n do
        local d = ds[i]
        if d.cost > 0 then
          local used, resets = take(d, i, at, charges, t.dropped, t.free)
          if used and d.plain and verdict == GO and t.from == 0 and not d.shadow then
            uses[i] = format('%d,%d,%d', used, resets, (d.short and 1 or 0) + (d.warned and 2 or 0))
          end
          if d.x ~= 0 and d.x[3] > 0 then
            owe(a, t.id, d, i, charges, at)
          end
        end
      end
      if a.guest then
        local list = a.f.s == nil and get(a, 's') or a.f.s
        list = list and decode(list) or {}
        local has = {}
        for _, name in ipairs(list) do
          has[name] = true
        end
        for name in pairs(a.guest) do
          if not has[name] then
            insert(list, name)
            set(a, 's', json(list))
          end
        end
      end
    end
  end
  for i = 1, n do
    if not uses[i] then
      local d = ds[i]
      local used, resets, allow = d.k.use(d.c, d, shown)
      local flags = (d.short and 1 or 0) + (d.warned and 2 or 0) + (d.shadow and 4 or 0)
      if allow or verdict == BOOKED or t.from > 0 then -- whoever fires it does not know
        uses[i] = format('%d,%d,%d,%d', used, resets, flags, allow or d.allow)
      else
        uses[i] = format('%d,%d,%d', used, resets, flags)
      end
    end
  end
  local why, key = '', ''
  if held and limit == PAUSED then
    why, key = held.why, held.key
  elseif limit > 0 and ds[limit].shown then
    key = keyOf(ds[limit].f)
  end
  return verdict, at, charges, format('%d,%d,%d,%d,%d|%s|%s|%s', verdict, now, at, limit, fits, concat(uses, ';'), key, why)
end
