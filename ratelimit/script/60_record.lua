-- Reservations as text. One that is on its way lies under its own key; a
-- booking lies among the account's bookings, and its own key only says so.
-- Lines: state, token, slot, order, arrived, fraction | the decision | the
-- fields charged | what each charge took | the items given back | the claims.
-- States: G on its way, B booked, M could not be moved and was given back,
-- X closed (kept so long that no late repetition charges it again).

-- A charge takes six places of a flat list: its field, item, cost, whether the
-- counter had no room at once, whether it crossed the mark, and what its
-- measure needs to give it back.
local function pack(res)
  local ch, t, n = res.charges, {}, 0
  for i = 1, #ch, 6 do
    n = n + 1
    t[n] = format('%d,%d,%d,%d,%d,%s', ch[i], ch[i + 1], ch[i + 2], ch[i + 3], ch[i + 4], ch[i + 5])
  end
  return format('%s,%s,%d,%d,%d,%d\n%s\n%s\n%s\n%s\n%s', res.state, res.token, res.slot, res.order, res.arrived, res.frac,
    res.reply, res.fields, concat(t, ';'), res.dropped, res.json)
end

local function unpacked(id, text)
  local state, token, slot, order, arrived, frac, reply, fields, charges, dropped, json =
    match(text, '^(%u),([^,]*),(%-?%d+),(%d+),(%-?%d+),(%d+)\n([^\n]*)\n([^\n]*)\n([^\n]*)\n([^\n]*)\n(.*)$')
  local ch, n = {}, 0
  for f, item, cost, bound, warned, data in gmatch(charges, '(%d+),(%d+),(%d+),(%d),(%d),([^;]*)') do
    ch[n + 1], ch[n + 2], ch[n + 3] = tonumber(f), tonumber(item), tonumber(cost)
    ch[n + 4], ch[n + 5], ch[n + 6] = tonumber(bound), tonumber(warned), data
    n = n + 6
  end
  return {
    id = id, state = state, token = token, slot = tonumber(slot), order = tonumber(order), arrived = tonumber(arrived),
    frac = tonumber(frac), reply = reply, fields = fields, charges = ch, dropped = dropped, json = json,
  }
end

-- fieldsOf lists the names of the fields that a reservation charged.
local function fieldsOf(res)
  local list, n = {}, 0
  for f in gmatch(res.fields, '[^\t]+') do
    n = n + 1
    list[n] = f
  end
  return list
end

-- A reservation is remembered for a quarter of an hour after its slot.
local remembered = 900000

local function keepRecord(key, res)
  call('SET', key, pack(res), 'PX', remembered + max(res.slot - now, 0))
end

-- The key of a booking: its state and token.
local function keepPointer(key, res)
  call('SET', key, 'B,' .. res.token, 'PX', remembered + max(res.slot - now, 0))
end

local function keepClosed(key, token)
  call('SET', key, 'X,' .. token, 'PX', remembered)
end
