-- The ledger's clock: the server's, in milliseconds. It never goes back: every
-- account keeps the latest time at which it was written, and now is at least
-- that. ordinal puts bookings in the order of their arrival.
local tick = redis.call('TIME')
local ordinal = tick[1] * 1000000 + tick[2]
local now = math.floor(ordinal / 1000)
