-- Reservations as text. One that is on its way lies under its own key; a
-- booking lies among the account's bookings, and its own key only says so.
-- Lines: state, token, slot, order, arrived, fraction, free | the message's own
-- number | the decision | the fields asked | what each charge took | the items
-- given back | services and recipients | the claims.
-- States: G on its way, B booked, M could not be moved and was given back, X
-- closed (kept so long that no late repetition charges it again), g the booking
-- of another account, in the queue of a scope.
--
-- A charge is its field's number, item, cost, flags (1 its counter had no room
-- at once, 2 it crossed the mark, 4 it was the first), what its measure needs to
-- give it back, the recipient, the key of the record it lies in where that is
-- another, and what pots paid.
-- The name of a field in a scope follows the scope and a vertical tab.

local function chargeText(ch)
  local text = format('%d,%d,%d,%d,%s', ch[1], ch[2], ch[3], ch[4], ch[5])
  if ch[6] or ch[7] or ch[8] then
    text = text .. ',' .. (ch[6] or '') .. ',' .. (ch[7] or '') .. ',' .. (ch[8] or '')
  end
  return text
end

local function some(text)
  return text ~= '' and text or nil
end

local function chargeOf(text)
  local f, item, cost, flags, data, who, where, split = match(text, '^(%d+),(%d+),(%d+),(%d+),([^,]*),?([^,]*),?([^,]*),?([^,]*)$')
  return {tonumber(f), tonumber(item), tonumber(cost), tonumber(flags), data, some(who), some(where), some(split)}
end

-- spread makes lists of those charges that are text.
local function spread(charges)
  for i, ch in ipairs(charges) do
    if type(ch) == 'string' then
      charges[i] = chargeOf(ch)
    end
  end
  return charges
end

local function packCharges(ch)
  for i = 1, #ch do
    if type(ch[i]) ~= 'string' then
      local t = {}
      for j = 1, #ch do
        t[j] = type(ch[j]) == 'string' and ch[j] or chargeText(ch[j])
      end
      return concat(t, ';')
    end
  end
  return concat(ch, ';')
end

local function pack(res)
  return format('%s,%s,%d,%d,%d,%d,%d\n', res.state, res.token, res.slot, res.order, res.arrived, res.frac, res.free and 1 or 0) ..
    res.same .. '\n' .. res.reply .. '\n' .. res.fields .. '\n' .. packCharges(res.charges) .. '\n' .. res.dropped .. '\n' ..
    res.watches .. '\n' .. res.json
end

-- A reservation is remembered for a quarter of an hour after its slot.
local REMEMBERED = 900000

local function keepRecord(key, res)
  local more = res.slot > now and res.slot - now or 0
  call('SET', key, pack(res), 'PX', format('%d', REMEMBERED + more))
end
