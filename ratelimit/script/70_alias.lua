-- Identities that turn out to be one account: what they had counted is added,
-- and from then on one stands for the other. See alias.go.

-- need ends the call: it must be made again with an account that is missing.
local function need(name)
  error({need = name}, 0)
end

-- strangers returns the accounts that the aliases stand for besides a.
local function strangers(a, from)
  local others, news, seen = {}, false, {}
  for i = from, #names do
    local o = open(i)
    head(o, {})
    if o.f.l and o.f.l ~= a.name then
      local known
      for j = 1, #names do
        known = known or names[j] == o.f.l
      end
      if not known then
        need(o.f.l)
      end
    elseif not o.f.l and o.name ~= a.name and not seen[o.name] then
      news, seen[o.name] = true, true
      others[#others + 1] = o
    end
  end
  return others, news
end

local function all(a)
  local got = call('HGETALL', a.key)
  for i = 1, #got, 2 do
    if a.f[got[i]] == nil then
      a.f[got[i]] = got[i + 1]
    end
  end
  return got
end

-- absorb adds what another account has counted to a's, and has it stand for a.
local function absorb(a, o)
  all(a)
  local got = all(o)
  for i = 1, #got, 2 do
    local f = got[i]
    if find(f, '|', 1, true) then
      local k = kind(sub(f, 1, 1))
      if a.f[f] == nil then
        a.f[f] = false
      end
      local c = counter(a, k, f)
      if not c then
        c = k.new()
        a.c[f] = c
      end
      k.merge(c, k.parse(got[i + 1]))
      a.dirty[f] = k
    end
  end
  if o.f.h then
    local mine = {}
    for till, ramp, name, why in gmatch((a.f.h or '') .. '\n' .. o.f.h, '(%d+),(%d+),([^\t]*)\t([^\n]*)') do
      till = tonumber(till)
      if till == 0 or till > now then
        local was = mine[name]
        if not was or was.till ~= 0 and (till == 0 or till > was.till) then
          mine[name] = {till = till, text = format('%d,%s,%s\t%s', till, ramp, name, why)}
        end
      end
    end
    local lines = {}
    for _, h in pairs(mine) do
      lines[#lines + 1] = h.text
    end
    table.sort(lines)
    set(a, 'h', concat(lines, '\n'))
    a.hold = nil
  end
  if o.f.x == '0' then
    a.ends = NEVER
  elseif o.f.x and a.ends ~= NEVER then
    a.ends = max(a.ends, tonumber(o.f.x) - lingers)
  end
  local list = queue(o)
  queue(a)
  for i = 1, #list do
    enqueue(a, list[i])
  end
  for id, res in pairs(o.moot) do
    a.moot[id] = res
    book(a, id, pack(res))
  end
  o.became = a.name
end

-- surrender leaves nothing of an account but for whom it stands.
local function surrender(o)
  call('DEL', o.key, o.books)
  call('HSET', o.key, 'n', now, 'l', o.became, 'x', '0')
end
