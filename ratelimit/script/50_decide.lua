-- The evaluator: from what is counted and what is asked to a decision. See
-- evaluate.go for the law.

local function kind(letter)
  local k = kinds[letter]
  if not k then
    -- 16 fields at once: a table that grows is made five times.
    k = {
      new = false, parse = false, text = false, earliest = false, charge = false, use = false, keeps = false, rest = false,
      params = 0, stride = 3, extras = false, windows = false, distinct = false, apart = false, empty = false, leases = false,
    }
    kinds[letter] = k
    if letter == 'c' then
      calendar(k)
    elseif letter == 'r' then
      rolling(k)
    elseif letter == 'l' then
      lifetime(k)
    elseif letter == 'p' then
      pace(k)
    elseif letter == 'd' then
      lifetime(k, false, true)
    elseif letter == 'C' then
      calendar(k, true)
    elseif letter == 'R' then
      part('distinctRolling')(k)
    elseif letter == 'L' then
      lifetime(k, true)
    elseif letter == 'u' then
      part('answers')(k)
    elseif letter == 'e' then
      part('answers')(k, true)
    elseif letter == 's' then
      part('similar')(k)
    elseif letter == 'a' then
      part('ratio')(k)
    elseif letter == 'o' then
      part('concurrent')(k)
    elseif letter == 'h' then
      part('hours')(k)
    end
  end
  return k
end

-- whole is a kind with its rarer functions.
local function whole(k)
  if k.rest then
    local rest = k.rest
    k.rest = nil
    rest()
  end
  return k
end

-- parse makes demands of the claims that the client sent, without those of the
-- items that were given back: a flat list, whose layout is in redis_encode.go.
-- homes are the accounts by their numbers in it.
local function parse(json, homes, dropped, free)
  local A = decode(json)
  local ds, n, i, size = {}, 0, 1, #A
  while i < size do
    local f, code = A[i], A[i + 1]
    local k = kind(sub(f, 1, 1))
    local account, claims = floor(code / 4) % 64, floor(code / 256)
    local from, stride = i + 4 + k.params, k.stride
    local to = from + stride * claims
    local cost, wait, own = 0, nil, nil
    for j = from, to - 1, stride do
      if not (dropped and dropped[A[j]]) then
        local c = free and 0 or A[j + 1]
        cost = cost + c
        if not wait or A[j + 2] < wait then
          wait = A[j + 2]
        end
        if stride > 3 and c > 0 then
          own = own or {}
          own[#own + 1] = A[j + 3]
        end
      end
    end
    if wait then
      n = n + 1
      -- 16 fields: a table of more takes twice the room.
      local d = {
        A = A, b = i + 4, k = k, f = f, a = homes[account], shadow = code % 2 == 1, keyed = code % 4 >= 2,
        allow = A[i + 2], warn = A[i + 3], from = from, claims = claims, x = 0,
        cost = cost, wait = wait, short = false, plain = true,
      }
      if stride > 3 then
        d.own = own or {}
        if own and own[2] then
          local seen, list = {}, {}
          for _, who in ipairs(own) do
            if not seen[who] then
              seen[who] = true
              list[#list + 1] = who
            end
          end
          d.own = list
        end
      end
      ds[n] = d
    end
    i = to
  end
  return ds, n
end

-- settle moves a slot on until all demands have room, and returns it; or
-- NEVER and the demand that never will.
local function settle(ds, n, slot)
  while true do
    local soon = slot
    for i = 1, n do
      local d = ds[i]
      if d.cost > 0 and not d.shadow then
        local t = d.k.earliest(d.c, d, slot)
        if t == NEVER then
          d.short = true
          return NEVER, i
        end
        local tails = d.tails
        if tails and not d.keyed then
          local tail = tails[d.f]
          if tail and tail > t then
            t = tail
          end
        end
        if t > slot then
          d.short, d.at = true, t
          if t > soon then
            soon = t
          end
        end
      end
    end
    if soon == slot then
      return slot
    end
    slot = soon
  end
end

local GO, BOOKED, LATER, REFUSED, GONE, TWIN = 1, 2, 3, 4, 5, 6
local PAUSED = -1

-- decide returns the verdict, the slot, which demand decided (0 none), how many
-- units of what never fits would, and whether a hold is to be named.
local function decide(held, ds, n, arrived, from, shaded)
  -- shadows says of the limits that do not decide whether they had room.
  local function shadows(slot)
    if shaded then
      for i = 1, n do
        local d = ds[i]
        if d.shadow and d.cost > 0 then
          d.short = d.k.earliest(d.c, d, slot) ~= slot
        end
      end
    end
  end
  local slot, till = now, held and held.till or 0
  if till > 0 then
    if till == FOREVER then
      shadows(slot)
      return REFUSED, 0, PAUSED, -1
    end
    slot = till
  end
  local stuck
  slot, stuck = settle(ds, n, slot)
  if not stuck and slot < from then
    slot, stuck = settle(ds, n, from)
  end
  if stuck then
    shadows(now)
    local d = ds[stuck]
    local fits = whole(d.k).fits
    return REFUSED, 0, stuck, fits and fits(d.c, d, now) or -1
  end
  if slot == now then
    shadows(slot)
    return GO, slot, 0, -1
  end

  local patience = 0
  for i = 1, n do
    local d = ds[i]
    if not d.shadow and d.wait > patience then
      patience = d.wait
    end
  end
  -- The furthest of all that lack room, and of those that will not have it
  -- within their wait.
  local furthest, furthestAt, late, lateAt = PAUSED, till, PAUSED, 0
  if till - arrived > patience then
    lateAt = till
  end
  local keyed, keeps = held and held.keyed, true
  for i = 1, n do
    local d = ds[i]
    if keeps and d.k.keeps and d.cost > 0 and not d.shadow then
      keeps = d.k.keeps(d.c, d, slot)
    end
    if d.short then
      keyed = keyed or d.keyed
      local at = d.at or 0
      if at > furthestAt then
        furthest, furthestAt = i, at
      end
      if at - arrived > d.wait and at > lateAt then
        late, lateAt = i, at
      end
    end
  end
  local verdict = BOOKED
  if lateAt > 0 then
    verdict, furthest = REFUSED, late
  elseif keyed or not keeps then
    verdict = LATER
  end
  shadows(verdict == BOOKED and slot or now)
  return verdict, slot, furthest, -1
end
