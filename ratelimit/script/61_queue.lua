-- The bookings of one account, in the order of their slots. A later arrival
-- never overtakes an earlier booking on a limit for which that booking waits:
-- the tail of a counter is the last slot booked because it had no room. The
-- queue of a scope has the bookings of other accounts that wait for its
-- counters: its guests.
-- In short (field t): the last order, the first slot or less, how many, how many
-- guests, and the tails. So a request reads no booking, unless one was abandoned
-- or has to move.

local function short(a)
  local s = a.short
  if s == nil then
    s = false
    local text = a.f.t
    if text then
      local order, first, count, guests, rest = match(text, '^(%d+),(%-?%d+),(%d+),(%d+)(.*)$')
      s = {order = tonumber(order), first = tonumber(first), count = tonumber(count), guests = tonumber(guests), tails = {}}
      for at, field in gmatch(rest, '\t(%d+) ([^\t]+)') do
        s.tails[field] = tonumber(at)
      end
    end
    a.short = s
  end
  return s
end
