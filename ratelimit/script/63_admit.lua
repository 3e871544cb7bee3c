-- A request in its place among the bookings. See engine.go.

-- admit decides a request in its place. A place in the queue makes those
-- behind it step back: they are withdrawn, and the caller's to book again.
local function admit(a, ds, n, t)
  local s = short(a)
  if s and s.count > 0 then
    E().expire(a)
    s = short(a)
    if s and s.count > 0 and (a.f.h or t.services[1]) then
      local h = halt(a, t.services, {})
      if h.till > 0 and h.till < FOREVER and s.first < h.till then
        local first = Q().load(a)[1]
        if first and first.slot < h.till then
          E().requeue(a)
        end
      end
    end
  end
  local behind
  if t.place > 0 and short(a) then
    behind = E().withdraw(a, t.place)
  end
  local verdict, at, charges, reply = attempt(a, ds, n, t)
  return verdict, at, charges, reply, behind
end
