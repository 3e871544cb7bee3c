-- reservations has what only those need who look at others than a new one.
local function reservations()
  local x = X()
  local get, set, counter, ensure, of, record, recordFor, canonical, keyOf, keyed, kind, whole, chargeOf,
    REMEMBERED =
    x.get, x.set, x.counter, x.ensure, x.of, x.record, x.recordFor, x.canonical, x.keyOf, x.keyed, x.kind,
    x.whole, x.chargeOf, x.REMEMBERED
  local R = {}

  function R.unpack(id, text)
    local state, token, slot, order, arrived, frac, free, same, reply, fields, charges, dropped, watches, json =
      match(text, '^(%a),([^,]*),(%-?%d+),(%d+),(%-?%d+),(%d+),(%d)\n([^\n]*)\n([^\n]*)\n([^\n]*)\n([^\n]*)\n([^\n]*)\n([^\n]*)\n(.*)$')
    local list = {}
    for one in gmatch(charges, '[^;]+') do
      list[#list + 1] = chargeOf(one)
    end
    return {
      id = id, state = state, token = token, slot = tonumber(slot), order = tonumber(order), arrived = tonumber(arrived),
      frac = tonumber(frac), free = free == '1', same = same, reply = reply, fields = fields, charges = list,
      dropped = dropped, watches = watches, json = json,
    }
  end

  -- The key of a booking: its state and token.
  function R.pointer(key, res)
    local more = res.slot > now and res.slot - now or 0
    call('SET', key, 'B,' .. res.token, 'PX', format('%d', REMEMBERED + more))
  end

  function R.close(key, token)
    call('SET', key, 'X,' .. token, 'PX', format('%d', REMEMBERED))
  end

  -- fields lists the names of the fields of a reservation.
  function R.fields(res)
    local list = {}
    for f in gmatch(match(res.fields, '^[^\f]*'), '[^\t]+') do
      list[#list + 1] = f
    end
    return list
  end

  -- place splits a field's name into the account that has it and the rest.
  function R.place(a, f)
    local scope, rest = match(f, '^([^\v]*)\v(.*)$')
    if scope then
      return of(scope), rest, scope
    end
    return a, f
  end

  -- find returns the account, kind, counter and field of a charge. What was a
  -- thread's lies with its recipient by now.
  function R.find(a, fields, ch)
    local o, f = R.place(a, fields[ch[1]])
    local k = whole(kind(sub(f, 1, 1)))
    if ch[7] then
      f = keyed(f, ch[7])
    else
      local key = keyOf(f)
      if key ~= '' then
        f = keyed(f, canonical(a, key))
      end
    end
    return o, k, f, ch[6] and canonical(a, ch[6]) or ''
  end

  -- refund gives back a charge, as far as the counters go.
  function R.refund(a, fields, ch)
    local o, k, f, who = R.find(a, fields, ch)
    local c = counter(o, k, f)
    if not c then
      return
    end
    k.refund(c, ch[3], floor(ch[4] / 2) % 2 == 1, ch[5], ch[8] or '', who, f, a)
    if floor(ch[4] / 4) % 2 == 1 and k.blank(c) then
      c[1] = 0
    end
    o.dirty[f] = k
  end

  -- Charges that a reply gives back stand in their recipient's record: id, slot,
  -- until, field, charge, and whether that has happened.
  local function debt(a, id, f, ch)
    if not ch[6] then
      return nil
    end
    local who = canonical(a, ch[6])
    local r = record(a, who)
    if r then
      for i, o in ipairs(r[5]) do
        if o[1] == id and o[4] == f then
          local other = o.charge or chargeOf(o[5])
          o.charge = other
          if other[2] == ch[2] and other[6] == ch[6] then
            return o, i, who
          end
        end
      end
    end
  end

  -- takeBack gives back a charge for good.
  function R.takeBack(a, res, fields, ch)
    local f = fields[ch[1]]
    local o, field = R.place(a, f)
    local k = kind(sub(field, 1, 1))
    if k.leases then
      local c = counter(o, k, field)
      if c then
        k.unlease(c, res.id, ch[2])
        o.dirty[field] = k
      end
      return
    end
    local owed, i, who = debt(a, res.id, f, ch)
    if owed then
      if owed[6] == 1 then
        return
      end
      remove(recordFor(a, who)[5], i)
    end
    R.refund(a, fields, ch)
  end

  -- giveBack refunds the charges of some items, or of all, and keeps the others.
  function R.giveBack(a, res, items)
    local rest, fields = {}, R.fields(res)
    for _, ch in ipairs(res.charges) do
      if items and not items[ch[2]] then
        rest[#rest + 1] = ch
      else
        R.takeBack(a, res, fields, ch)
      end
    end
    res.charges = rest
  end

  -- unmark forgets that a reservation's message was there, and returns whether
  -- somebody had asked for it again.
  function R.unmark(a, res)
    if res.same ~= '' then
      local field = 'm|' .. res.same
      local text = get(a, field)
      local mark = text and decode(text)
      if mark and mark[1] == res.id then
        set(a, field, false)
        return mark[5] == 1
      end
    end
    return false
  end

  -- eachLease calls f for every counter of leases that a reservation has.
  function R.eachLease(a, res, f)
    local fields = R.fields(res)
    for _, ch in ipairs(res.charges) do
      local o, field = R.place(a, fields[ch[1]])
      if sub(field, 1, 1) == 'o' then
        local k = kind('o')
        f(k, ensure(o, k, field), ch)
      end
    end
  end

  -- dropped is the set of the items that were given back; nil for none.
  function R.dropped(res)
    if res.dropped == '' then
      return nil
    end
    local items = {}
    for item in gmatch(res.dropped, '%d+') do
      items[tonumber(item)] = true
    end
    return items
  end

  return R
end
