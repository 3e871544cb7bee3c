-- What a store does with reservations: charging, giving back, booking again.
-- See engine.go and reservation.go.

-- hold returns the hold in force on an account, or nil.
local function activeHold(a)
  local h = a.hold
  if h == nil then
    h = false
    local text = a.f.h
    if text then
      for till, ramp, name, why in gmatch(text, '(%d+),(%d+),([^\t]*)\t([^\n]*)') do
        till = tonumber(till)
        if till == 0 or till > now then
          if not h or h.till ~= 0 and (till == 0 or till > h.till) then
            h = {till = till, why = why, name = name}
          end
        end
      end
    end
    a.hold = h
  end
  return h
end

-- look finds the counters of demands, and the tails.
local function look(a, ds, n)
  local s = short(a)
  local tails = s and s.tails
  for i = 1, n do
    local d = ds[i]
    d.a = a
    d.c = counter(a, d.k, d.f)
    d.tails = tails
  end
end

-- attempt decides, for a slot not before from, and charges what may go or is
-- booked. It returns the verdict, the slot, the charges and the decision as
-- text.
local function attempt(a, ds, n, arrived, from, frac, dry)
  look(a, ds, n)
  local verdict, at, limit, why, fits = decide(activeHold(a), ds, n, arrived, from)
  local shown, charges, m = now, {}, 0
  if verdict <= BOOKED then
    shown = at
    if not dry then
      for i = 1, n do
        local d = ds[i]
        if d.cost > 0 then
          local k, c, A, acct = d.k, d.c, d.A, d.a
          if not c then
            c = k.new()
            d.c, acct.c[d.f] = c, c
            if d.keyed then
              acct.grew = (acct.grew or 0) + 1
            end
          end
          acct.dirty[d.f] = k
          local dropped = d.dropped
          for j = d.from, d.from + 3 * d.claims - 1, 3 do
            local cost = A[j + 1]
            if cost > 0 and not (dropped and dropped[A[j]]) then
              local data, warned, ends = k.charge(c, d, cost, at, frac)
              if data then
                charges[m + 1], charges[m + 2], charges[m + 3] = i, A[j], cost
                charges[m + 4], charges[m + 5], charges[m + 6] = d.short and not d.shadow and 1 or 0, warned and 1 or 0, data
                m = m + 6
                if warned then
                  d.warned = true
                end
                if ends == NEVER or acct.ends == NEVER then
                  acct.ends = NEVER
                elseif ends > acct.ends then
                  acct.ends = ends
                end
              end
            end
          end
        end
      end
    end
  end
  local uses = {}
  for i = 1, n do
    local d = ds[i]
    local used, resets = d.k.use(d.c, d, shown)
    uses[i] = format('%d,%d,%d', used, resets, (d.short and 1 or 0) + (d.warned and 2 or 0) + (d.shadow and 4 or 0))
  end
  local reply = format('%d,%d,%d,%d,%d|%s|%s', verdict, now, at, limit, fits, concat(uses, ';'), why)
  return verdict, at, charges, reply
end

-- sweep forgets recipients for whom nothing lasts: where counters were added,
-- twice as many are looked at, by chance, so that no more than half of what an
-- account keeps is dead.
local function sweep(a)
  local some = call('HRANDFIELD', a.key, min(2 * a.grew, 32))
  for i = 1, #some do
    local f = some[i]
    if find(f, '|.*|.') then
      local k = kind(sub(f, 1, 1))
      local c = counter(a, k, f)
      if c and k.over(c, now - lingers) then
        a.c[f] = false
        set(a, f, false)
      end
    end
  end
end

-- refund gives back one charge, number i of a reservation's.
local function refund(a, fields, ch, i)
  local f = fields[ch[i]]
  local k = kind(sub(f, 1, 1))
  local c = counter(a, k, f)
  if c then
    k.refund(c, ch[i + 2], ch[i + 4] == 1, ch[i + 5])
    a.dirty[f] = k
  end
end

-- giveBack refunds the charges of some items, or of all, and keeps the others.
local function giveBack(a, res, items)
  local ch, rest, n = res.charges, {}, 0
  local fields = fieldsOf(res)
  fetch(a, fields)
  for i = 1, #ch, 6 do
    if items and not items[ch[i + 1]] then
      for j = 0, 5 do
        n = n + 1
        rest[n] = ch[i + j]
      end
    else
      refund(a, fields, ch, i)
    end
  end
  res.charges = rest
end

-- expire gives back the bookings that nobody fired within a minute.
local function expire(a)
  local s = short(a)
  while s and s.count > 0 and s.first + 60000 < now do
    local res = queue(a)[1]
    if not res or res.slot + 60000 >= now then
      rebuild(a, s)
      shorten(a)
      return
    end
    dequeue(a, res)
    giveBack(a, res)
    a.abandoned = (a.abandoned or 0) + 1
    s = short(a)
  end
end

-- withdraw takes the bookings that came after another off the books and
-- refunds what they charged, which they still name.
local function withdraw(a, after)
  local list, gone = queue(a), {}
  local i = 1
  while i <= #list do
    local res = list[i]
    if res.order > after then
      gone[#gone + 1] = res
      table.remove(list, i)
    else
      i = i + 1
    end
  end
  if #gone == 0 then
    return gone
  end
  local s = short(a)
  s.count = #list
  rebuild(a, s)
  for i = 1, #gone do
    local res = gone[i]
    local fields = fieldsOf(res)
    fetch(a, fields)
    for j = 1, #res.charges, 6 do
      refund(a, fields, res.charges, j)
    end
    book(a, res.id, false)
  end
  shorten(a)
  return gone
end

-- droppedOf is the set of the items that were given back.
local function droppedOf(res)
  if res.dropped == '' then
    return nil
  end
  local set = {}
  for item in gmatch(res.dropped, '%d+') do
    set[tonumber(item)] = true
  end
  return set
end

-- rebook books withdrawn messages again, in their order: at their slots, where
-- there still is room, or later. Those that cannot wait that long have been
-- given back; whoever fires them hears of it.
local function rebook(a, list)
  for i = 1, #list do
    local res = list[i]
    local dropped = droppedOf(res)
    local ds, n = parse(res.json, dropped)
    local names = {}
    for j = 1, n do
      names[j] = ds[j].f
      ds[j].dropped = dropped
    end
    fetch(a, names)
    local old, oldFields = res.charges, fieldsOf(res)
    local verdict, at, charges, reply = attempt(a, ds, n, min(res.arrived, now), res.slot, res.frac)
    if verdict > BOOKED then
      res.state, res.slot, res.charges, res.fields, res.json = 'M', at, {}, concat(names, '\t'), ''
      res.reply = REFUSED .. sub(reply, 2)
      a.moot[res.id] = res
      book(a, res.id, pack(res))
    else
      -- It waits for what it waited for, though by now there may be room.
      local bound = {}
      for j = 1, #old, 6 do
        if old[j + 3] == 1 then
          bound[oldFields[old[j]]] = true
        end
      end
      local held = {}
      for j = 1, #charges, 6 do
        if bound[names[charges[j]]] then
          charges[j + 3] = 1
        end
        if charges[j + 3] == 1 then
          held[charges[j]] = true
        end
      end
      local head, uses, why = match(reply, '^([^|]*)|([^|]*)|(.*)$')
      local j = 0
      uses = string.gsub(uses, '(%d+,%d+),(%d+)', function(u, flags)
        j = j + 1
        if held[j] and flags % 2 == 0 then
          flags = flags + 1
        end
        return u .. ',' .. flags
      end)
      if at == res.slot or verdict == GO then
        -- The decision of before, with this slot and these uses.
        local v, asked, _, limit, fits = match(res.reply, '^(%d+),(%d+),(%-?%d+),(%-?%d+),(%-?%d+)')
        local now2 = {}
        for j = 1, n do
          now2[names[j]] = j
        end
        limit = tonumber(limit)
        if limit > 0 then
          limit = now2[oldFields[limit]] or limit
        end
        head = format('%s,%s,%d,%d,%s', v, asked, at, limit, fits)
        why = match(res.reply, '^[^|]*|[^|]*|(.*)$')
      end
      res.reply = head .. '|' .. uses .. '|' .. why
      res.fields, res.charges, res.slot = concat(names, '\t'), charges, at
      enqueue(a, res)
    end
  end
end

-- requeue books an account's waiting messages again, because a hold reaches
-- beyond their slots.
local function requeue(a)
  rebook(a, withdraw(a, 0))
end

-- admit decides a request in its place. A place in the queue makes those
-- behind it step back: they are withdrawn, and the caller's to book again.
local function admit(a, ds, n, arrived, frac, place)
  local s = short(a)
  if s then
    expire(a)
    s = short(a)
    local h = activeHold(a)
    if s and s.count > 0 and h and h.till > 0 and s.first < h.till then
      local first = queue(a)[1]
      if first and first.slot < h.till then
        requeue(a)
      end
    end
  end
  local behind
  if place > 0 and short(a) then
    behind = withdraw(a, place)
  end
  local verdict, at, charges, reply = attempt(a, ds, n, arrived, 0, frac, false)
  return verdict, at, charges, reply, behind
end
