-- Reserve. A reply is text: what it is, now, and how far the server's clock
-- lies behind the account's; then what was decided, then the fields asked.
local verb = ARGV[1]
local idKey = KEYS[#KEYS]

local function answer(what, body)
  return format('%s,%d,%d\n%s', what, now, now - clock, body or '')
end

local function flushAll()
  for i = 1, #names do
    if accounts[i] then
      flush(accounts[i])
    end
  end
end

local NONE = {}

-- numbered looks at the message's own number, under one name: twin is the slot of the one that
-- is open (0 on its way), through that it went within the last day. Who is told
-- of a twin waits for its end: the mark says so.
local function numbered(a, same, id, dry)
  E().expire(a)
  local text = get(a, 'm|' .. same)
  if not text then
    return nil, false
  end
  local mark = decode(text)
  local function repeated(slot)
    if not dry and mark[5] ~= 1 then
      mark[5] = 1
      set(a, 'm|' .. same, json(mark))
    end
    return slot, false
  end
  local booked = call('HGET', a.books, mark[1])
  if a.booked and a.booked[mark[1]] ~= nil then
    booked = a.booked[mark[1]]
  end
  local state = booked and sub(booked, 1, 1)
  if state == 'B' then
    local res = R().unpack(mark[1], booked)
    if res.same == same then
      if mark[1] == id then
        return nil, false
      end
      return repeated(res.slot)
    end
  elseif not booked and mark[3] == 1 and mark[4] + REMEMBERED > now then
    if mark[1] == id then
      return nil, false
    end
    return repeated(0)
  end
  return nil, mark[2] + DAY > now
end

-- H: names, id, token, arrived, dry, replace, fraction, how many of the names
-- are scopes and services, services, recipients, same, dedupes, fields to read,
-- keys and recipients, the slot before which nothing is to be. Replace is 2 where
-- that is only for the better: then nothing is written before that is known.
local function reserve()
  local id, token, arrived, dry, replace, sooner = H[2], H[3], H[4], H[5] == 1, H[6] > 0, H[6] == 2
  local more, keys, same = H[8], H[14], H[11]
  local a = open(1)
  local homes = {a}
  for i = 2, 1 + more do
    homes[i] = open(i)
  end
  local ds, n = parse(ARGV[3], homes)
  local list = H[13]
  local before = #list
  local extra = before
  for i = 1, n do
    local d = ds[i]
    if d.a == a and not (d.k.apart or d.k.empty) then
      extra = extra + 1
      list[extra] = d.f
    end
  end
  head(a, list)
  if a.f.l then
    return answer('m', a.f.l)
  end
  for i = 2, 1 + more do
    local o, fields = homes[i], {}
    for j = 1, n do
      if ds[j].a == o and not (ds[j].k.apart or ds[j].k.empty) then
        fields[#fields + 1] = ds[j].f
      end
    end
    head(o, fields)
  end
  for i = 1, n do
    local d = ds[i]
    if d.k.windows and (now < d.A[d.b] or now >= d.A[d.b + 6]) then
      return answer('s', format('%d', i))
    end
  end
  local t = {
    id = id, frac = H[7], arrived = arrived, from = H[15] > now and H[15] or 0, place = 0, dry = dry,
    services = H[9], recipients = H[10],
  }
  local kept
  if not dry or sooner then
    local text = call('GET', idKey)
    if text then
      local state, was = sub(text, 1, 1), match(text, '^%u,([^\n,]*)')
      local res
      if state == 'G' then
        res = R().unpack(id, text)
      elseif state == 'B' then
        local booked = call('HGET', a.books, id)
        res = booked and R().unpack(id, booked)
      elseif was == token then
        return answer('x')
      end
      if sooner and res and res.state ~= 'G' then
        kept = E().kept(a, res)
        t.dry = dry and not kept -- it is tried
        asked.gaps = kept
        if dry and not kept then
          res = nil
        end
      end
      if res then
        if not replace or res.token == token or sooner and res.state == 'G' then
          return answer('r', res.token .. '\n' .. res.reply .. '\n' .. res.fields)
        end
        if res.state == 'B' then
          t.place = res.order
          Q().take(a, res)
        elseif res.state == 'M' then
          Q().book(a, id, false)
        end
        if arrived == 0 then
          t.arrived = res.arrived
        end
        t.repeated = R().unmark(a, res)
        R().giveBack(a, res)
        if not kept then
          R().close(idKey, res.token)
          flushAll()
        end
      end
    end
  end
  if t.arrived == 0 or t.arrived > now then
    t.arrived = now
  end
  local again = 0
  if same ~= '' then
    local shown = {a}
    if #names > 1 + more then
      for i, o in ipairs((M().strangers(a, 2 + more))) do
        shown[i + 1] = o
      end
    end
    for _, o in ipairs(shown) do
      local twin, through = numbered(o, same, id, dry)
      if twin then
        if kept then
          return answer('r', kept.answer)
        end
        flushAll()
        return answer('d', format('%d,%d,%d,0,-1||||0', TWIN, now, twin))
      end
      again = through and 1 or again
    end
    if again == 1 and H[12] == 1 then
      t.free, same = true, ''
      for i = 1, n do
        ds[i].cost = 0
      end
    end
  end
  if dry and not kept then
    if threads(a, keys) then
      ds, n = E().canon(a, ds, n)
    end
    t.all = {}
    local _, _, _, reply = attempt(a, ds, n, t)
    local holds = concat(t.all, ';')
    flushAll()
    return answer('D', reply .. '|' .. again .. '\n' .. fieldsOf(ds, n) .. '\n' .. holds)
  end
  local others, news
  if #names > 1 + more then
    others, news = M().strangers(a, 2 + more)
    if news then
      if kept then
        return answer('r', kept.answer)
      end
      flushAll() -- what was replaced or abandoned is given back in any case
      for i = 1, #others do
        M().absorb(a, others[i])
      end
    end
  end
  local renamed = false
  if threads(a, keys) then
    ds, n, renamed = E().canon(a, ds, n)
  end
  local verdict, at, charges, reply, behind = admit(a, ds, n, t)
  if kept and not E().worth(kept, ds, n, verdict, at, reply) then
    return answer('r', kept.answer)
  end
  if news and verdict > BOOKED then
    return answer('D', reply .. '|' .. again .. '\n' .. fieldsOf(ds, n) .. '\n')
  end
  local fields, res
  if verdict <= BOOKED then
    -- What was read, where that is what was asked.
    fields = not renamed and more == 0 and extra - before == n and concat(list, '\t', before + 1) or fieldsOf(ds, n)
    a.dirty.n = true
    if verdict == BOOKED then
      res = {
        id = id, token = token, slot = at, order = t.place > 0 and t.place or Q().order(a), arrived = t.arrived, frac = t.frac,
        free = t.free, reply = reply .. '|' .. again, fields = fields, charges = spread(charges), dropped = '', same = same,
        json = ARGV[3], watches = '', state = 'B',
      }
      if more > 0 or H[10][1] then
        res.watches = concat(H[9], '\t') .. ';' .. concat(H[10], '\t') .. ';' .. concat(names, '\t', 2, 1 + more)
      end
      Q().add(a, res)
    end
    if same ~= '' then
      local mark = {id, now, 1, at}
      if t.repeated then -- and who asked still waits
        mark[5] = 1
      end
      set(a, 'm|' .. same, json(mark))
      a.grew = (a.grew or 0) + 1
    end
  end
  if behind and behind[1] and E().rebook(a, behind) and kept and verdict <= BOOKED then
    return answer('r', kept.answer)
  end
  if dry then
    return answer('D', reply .. '|' .. again .. '\n' .. (fields or fieldsOf(ds, n)) .. '\n')
  end
  if res then
    R().pointer(idKey, res)
  elseif verdict == GO then
    call('SET', idKey, format('G,%s,%d,0,0,%d,%d\n', token, at, t.frac, t.free and 1 or 0) .. same .. '\n' .. reply .. '|' .. again .. '\n' ..
      fields .. '\n' .. packCharges(charges) .. '\n\n\n', 'PX', '900000')
  elseif kept then
    R().close(idKey, kept.token)
  end
  if others then
    for i = 1, #others do
      M().surrender(others[i])
    end
  end
  if a.grew then
    E().sweep(a)
  end
  if names[2] then
    flushAll()
  else
    flush(a)
  end
  if renamed then
    return answer('D', reply .. '|' .. again .. '\n' .. fieldsOf(ds, n) .. '\n')
  end
  return answer('d', reply .. '|' .. again)
end
