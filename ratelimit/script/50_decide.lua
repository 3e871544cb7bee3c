-- The evaluator: from what is counted and what is asked to a decision. See
-- evaluate.go for the law.

local makers = {c = calendar, r = rolling, l = lifetime, p = pace}

local function kind(letter)
  local k = kinds[letter]
  if not k then
    k = makers[letter]()
    kinds[letter] = k
  end
  return k
end

-- parse makes demands of the claims that the client sent, without those of the
-- items that were given back: a flat list, whose layout is in redis_encode.go.
local function parse(json, dropped)
  local A = cjson.decode(json)
  local ds, n, i, size = {}, 0, 1, #A
  while i < size do
    -- letter, field, account, flags, allow, warn, parameters, claims
    local letter, flags, params, claims = A[i], A[i + 3], A[i + 6], A[i + 7]
    local from = i + 8 + params
    local cost, wait, any
    for j = from, from + 3 * claims - 1, 3 do
      if not (dropped and dropped[A[j]]) then
        cost, wait = (cost or 0) + A[j + 1], any and min(wait, A[j + 2]) or A[j + 2]
        any = true
      end
    end
    if any then
      n = n + 1
      ds[n] = {
        A = A, b = i + 8, k = kind(letter), f = A[i + 1], acct = A[i + 2],
        shadow = flags % 2 == 1, keyed = flags >= 2, allow = A[i + 4], warn = A[i + 5],
        from = from, claims = claims, cost = cost, wait = wait, at = 0, c = false, short = false, warned = false,
      }
    end
    i = from + 3 * claims
  end
  return ds, n
end

-- settle moves a slot on until all demands have room, and returns it; or
-- NEVER and the demand that never will.
local function settle(ds, n, slot)
  while true do
    local next = slot
    for i = 1, n do
      local d = ds[i]
      if d.cost > 0 and not d.shadow then
        local t = d.k.earliest(d.c, d, d.cost, slot)
        if t == NEVER then
          d.short = true
          return NEVER, i
        end
        if d.tails and not d.keyed then
          local tail = d.tails[d.f]
          if tail and tail > t then
            t = tail
          end
        end
        if t > slot then
          d.short, d.at = true, t
          if t > next then
            next = t
          end
        end
      end
    end
    if next == slot then
      return slot
    end
    slot = next
  end
end

-- shadows says of the limits that do not decide whether they had room.
local function shadows(ds, n, slot)
  for i = 1, n do
    local d = ds[i]
    if d.shadow and d.cost > 0 then
      d.short = d.k.earliest(d.c, d, d.cost, slot) ~= slot
    end
  end
end

local GO, BOOKED, LATER, REFUSED, GONE = 1, 2, 3, 4, 5
local PAUSED = -1

-- decide returns the verdict, the slot, which demand decided (0 none), why a
-- hold holds, and how many units of what never fits would.
local function decide(hold, ds, n, arrived, from)
  local slot, held, why = now, 0, ''
  if hold then
    why, held = hold.why, hold.till
    if held == 0 then
      shadows(ds, n, slot)
      return REFUSED, 0, PAUSED, why, -1
    end
    slot = max(slot, held)
  end
  local stuck
  slot, stuck = settle(ds, n, slot)
  if not stuck and slot < from then
    slot, stuck = settle(ds, n, from)
  end
  if stuck then
    shadows(ds, n, now)
    local d = ds[stuck]
    return REFUSED, 0, stuck, '', d.k.fits and d.k.fits(d.c, d) or max(d.allow, 0)
  end
  if slot == now then
    shadows(ds, n, slot)
    return GO, slot, 0, why, -1
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
  local furthest, furthestAt, late, lateAt = PAUSED, held, PAUSED, 0
  if held - arrived > patience then
    lateAt = held
  end
  local keyed, keeps = false, true
  for i = 1, n do
    local d = ds[i]
    if keeps and d.k.keeps and d.cost > 0 and not d.shadow then
      keeps = d.k.keeps(d.c, d, slot)
    end
    if d.short then
      keyed = keyed or d.keyed
      if d.at > furthestAt then
        furthest, furthestAt = i, d.at
      end
      if d.at - arrived > d.wait and d.at > lateAt then
        late, lateAt = i, d.at
      end
    end
  end
  local verdict = BOOKED
  if lateAt > 0 then
    verdict, furthest = REFUSED, late
  elseif keyed or not keeps then
    verdict = LATER
  end
  shadows(ds, n, verdict == BOOKED and slot or now)
  return verdict, slot, furthest, furthest == PAUSED and why or '', -1
end
