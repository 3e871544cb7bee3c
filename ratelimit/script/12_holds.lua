-- Holds: name, until (0 when someone resumes), why, ramp, how long it lasted,
-- within how long it grows, and the ids of the latest coolings. See hold.go.

-- told has the holds of services on other servers of a Cluster.
local told = ARGV[4] ~= '' and decode(ARGV[4]) or {}

local function holdsOf(a)
  local list = a.holds
  if list == nil then
    local text = a.f.h
    list = text and decode(text) or {}
    a.holds = list
  end
  return list
end

local function keepHolds(a)
  if #a.holds == 0 then
    set(a, 'h', false)
  else
    set(a, 'h', json(a.holds))
    for _, h in ipairs(a.holds) do
      lasts(a, h[2] == 0 and NEVER or h[2] + (h[4] > h[6] and h[4] or h[6]))
    end
  end
end

local function active(h)
  return h[2] == 0 or h[2] > now
end

-- halt is what all the holds on a request come to: until (0 none, FOREVER until
-- someone resumes), why, whose, and whether a recipient's is among them.
local function halt(a, services, recipients, all)
  local t = {till = 0, why = '', key = '', keyed = false}
  local function add(list, key)
    for i = 1, #list do
      local h = list[i]
      if active(h) then
        t.keyed = t.keyed or key ~= ''
        local ends = h[2] == 0 and FOREVER or h[2]
        if ends > t.till then
          t.till, t.why, t.key = ends, h[3], key
        end
        if all then
          all[#all + 1] = format('%d,%d,%s,%s', h[2], h[4], h[1], h[3])
        end
      end
    end
  end
  add(holdsOf(a), '')
  for i = 1, #services do
    local text = told[services[i]]
    if text then
      add(text ~= '' and decode(text) or {}, '')
    else
      local o = of(services[i])
      if o.f.l then
        o = of(o.f.l)
      end
      add(holdsOf(o), '')
    end
  end
  local seen = {}
  for i = 1, #recipients do
    local key = recipients[i]
    if key ~= '' and not seen[key] then
      seen[key] = true
      local r = record(a, canonical(a, key))
      if r then
        add(r[4], key)
      end
    end
  end
  return t
end
