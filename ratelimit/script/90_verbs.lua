-- The verbs. A reply is text: what it is, now, and how far the server's clock
-- lies behind the account's; then what was decided, then the fields charged.
local verb = ARGV[1]
local idKey = KEYS[#KEYS]

local function answer(what, body)
  return format('%s,%d,%d\n', what, now, now - clock) .. (body or '')
end

local function reserve()
  local id, token, arrived, dry, replace, frac, scopes = H[2], H[3], H[4], H[5] == 1, H[6] == 1, H[7], H[8]
  local ds, n = parse(ARGV[3])
  local a = open(1)
  local list = {}
  for i = 1, n do
    list[i] = ds[i].f
  end
  head(a, list)
  if a.f.l then
    return answer('m', a.f.l)
  end
  for i = 1, n do
    local d = ds[i]
    if d.k.keeps and (now < d.A[d.b] or now >= d.A[d.b + 6]) then
      return answer('s', format('%d', i))
    end
  end
  local place = 0
  if not dry then
    local text = call('GET', idKey)
    if text then
      local state, was = sub(text, 1, 1), match(text, '^%u,([^\n,]*)')
      local res
      if state == 'G' then
        res = unpacked(id, text)
      elseif state == 'B' then
        local booked = call('HGET', a.books, id)
        res = booked and unpacked(id, booked)
      elseif was == token then
        return answer('x')
      end
      if res then
        if not replace or res.token == token then
          return answer('r', res.token .. '\n' .. res.reply .. '\n' .. res.fields)
        end
        if res.state == 'B' then
          place = res.order
          dequeue(a, res)
        elseif res.state == 'M' then
          book(a, id, false)
        end
        if arrived == 0 then
          arrived = res.arrived
        end
        giveBack(a, res)
        keepClosed(idKey, res.token)
        flush(a)
      end
    end
  end
  if arrived == 0 or arrived > now then
    arrived = now
  end
  local others, news
  if not dry and #names > 1 + scopes then
    others, news = strangers(a, 2 + scopes)
    for i = 1, #others do
      absorb(a, others[i])
    end
  end
  if dry then
    local _, _, _, reply = attempt(a, ds, n, arrived, 0, frac, true)
    return answer('d', reply)
  end
  local verdict, at, charges, reply, behind = admit(a, ds, n, arrived, frac, place)
  if news and verdict > BOOKED then
    return answer('d', reply)
  end
  if verdict <= BOOKED then
    for i = #list, n + 1, -1 do
      list[i] = nil
    end
    local res = {
      id = id, token = token, slot = at, order = 0, arrived = 0, frac = frac, reply = reply,
      fields = concat(list, '\t'), charges = charges, dropped = '', json = '', state = 'G',
    }
    a.dirty.n = true
    a.f.n = now
    if verdict == BOOKED then
      res.state, res.arrived, res.json, res.order = 'B', arrived, ARGV[3], place > 0 and place or nextOrder(a)
      enqueue(a, res)
      keepPointer(idKey, res)
    else
      keepRecord(idKey, res)
    end
  end
  if behind and #behind > 0 then
    rebook(a, behind)
  end
  if others then
    for i = 1, #others do
      surrender(others[i])
    end
  end
  if a.grew then
    sweep(a)
  end
  flush(a)
  return answer('d', reply)
end

-- opened finds an open reservation; nil, or only those of a token if one is
-- given.
local function opened(a, id, token)
  local text = call('HGET', a.books, id)
  if not text then
    text = call('GET', idKey)
    if not text or sub(text, 1, 1) ~= 'G' then
      return nil
    end
  end
  local res = unpacked(id, text)
  if token ~= '' and res.token ~= token then
    return nil
  end
  return res
end

local function fire()
  local a, id, token = open(1), H[2], H[3]
  head(a, {})
  if a.f.l then
    return answer('m', a.f.l)
  end
  local res = opened(a, id, token)
  if not res then
    return answer('g')
  end
  if res.state == 'B' and res.slot <= now then
    if activeHold(a) then
      requeue(a)
      local text = a.booked[id]
      res = text and unpacked(id, text) or res
    else
      dequeue(a, res)
      local now2, at, fits, uses = match(res.reply, '^%d+,(%d+),(%-?%d+),%-?%d+,(%-?%d+)(|[^|]*|)')
      res.state, res.json, res.dropped = 'G', '', ''
      res.reply = format('%d,%s,%s,0,%s%s', GO, now2, at, fits, uses)
      keepRecord(idKey, res)
    end
  end
  if res.state == 'M' then
    book(a, id, false)
    call('DEL', idKey)
  end
  flush(a)
  return answer('f', res.reply .. '\n' .. res.fields)
end

-- close ends a reservation: as spent, or with all of it given back.
local function close(back)
  local a, id, token = open(1), H[2], H[3]
  head(a, {})
  if a.f.l then
    return answer('m', a.f.l)
  end
  local res = opened(a, id, token)
  if not res then
    if token ~= '' and not call('GET', idKey) then
      keepClosed(idKey, token) -- it may still be on its way here
    end
    return answer('o')
  end
  if res.state == 'B' then
    dequeue(a, res)
  elseif res.state == 'M' then
    book(a, id, false)
  end
  if back then
    giveBack(a, res)
  end
  keepClosed(idKey, res.token)
  flush(a)
  return answer('o')
end

local function cancelItems()
  local a, id, token = open(1), H[2], H[3]
  head(a, {})
  if a.f.l then
    return answer('m', a.f.l)
  end
  local res = opened(a, id, token)
  if not res then
    return answer('o')
  end
  local items = {}
  for i = 1, #H[4] do
    items[H[4][i]] = true
  end
  if res.state == 'B' then
    dequeue(a, res)
  end
  giveBack(a, res, items)
  if #res.charges == 0 then
    if res.state == 'M' then
      book(a, id, false)
    end
    keepClosed(idKey, res.token)
  elseif res.state == 'B' then
    for item in pairs(items) do
      res.dropped = res.dropped .. format('%d,', item)
    end
    enqueue(a, res)
  elseif res.state == 'G' then
    keepRecord(idKey, res)
  end
  flush(a)
  return answer('o')
end

-- pause sets a hold, or lifts them all.
local function pause()
  local a = open(1)
  head(a, {})
  if a.f.l then
    return answer('m', a.f.l)
  end
  local h = H[2]
  if h == '' then
    if not a.f.n then
      return answer('o')
    end
    set(a, 'h', false)
  else
    set(a, 'h', h)
    if H[3] == 0 then
      a.ends = NEVER
    else
      a.ends = max(a.ends, H[3])
    end
  end
  flush(a)
  return answer('o')
end

local verbs = {reserve = reserve, fire = fire, cancelItems = cancelItems, pause = pause}
local ok, out = pcall(verbs[verb] or function() return close(verb == 'cancel') end)
if ok then
  return out
end
if type(out) == 'table' and out.need then
  return answer('n', out.need)
end
if type(out) == 'table' then
  return out
end
return redis.error_reply('ERR quotagate: ' .. tostring(out))
