-- The quick way: a request of plain claims that all have room at once, on an
-- account that nothing holds and nobody waits for. It answers as the whole script
-- would, at a third of its cost, or not at all: then nothing was written, and the
-- whole script (all that follows) decides.
-- Its list is written in redis_quick.go: token, fraction, how many demands, the
-- fields of their counters and of what must not be there, what the charges begin
-- with, and the demands' numbers.
local function quick()
  local Q = decode(ARGV[5])
  local m, fields, begins, P = Q[3], Q[4], Q[5], Q[6]
  local got, idKey = call('HMGET', KEYS[1], unpack(fields)), KEYS[#KEYS]
  local high, x = got[m + 1], got[m + 2]
  if not x or not high or tonumber(high) > now then
    return
  end
  for i = m + 3, #fields do
    if got[i] then
      return
    end
  end
  if call('GET', idKey) then
    return
  end
  local stamp, p, ends = format('%d', now), 1, now
  local put, uses, charges, n = {'n', stamp, nil, nil, nil, nil}, {}, {}, 2
  for i = 1, m do
    local text, kind, cost, allow, warn = got[i], P[p], P[p + 1], P[p + 2], P[p + 3]
    if not text then
      return
    end
    local first, used, warned, data = nil, nil, nil, stamp
    if kind == 'c' then
      local s, e, label
      first, s, e, used, warned, label = match(text, '^%[(%d+),(%d+),(%d+),(%d+),(%d),"([^"]*)"%]$')
      if not first or now < P[p + 4] or now >= P[p + 5] then
        return
      end
      local till = tonumber(e)
      if now < tonumber(s) or now >= till then
        return
      end
      p = p + 6
      local u = used + cost
      if u > allow then
        return
      end
      text = '[' .. first .. ',' .. s .. ',' .. e .. ',' .. u .. ',' .. warned .. ',"' .. label .. '"]'
      uses[i], data = u .. ',' .. e .. ',0', label
      if till > ends then
        ends = till
      end
    elseif kind == 'r' then
      local span, w, log = P[p + 4], nil, nil
      p = p + 5
      first, warned, used, w, log = match(text, '^(%d+),%d+,(%d+),(%d+),0,(%d+),;(.*)$')
      if not first then
        return
      end
      w, used = w + 0, used + 0
      -- What has left the window is forgotten.
      local width, from, oldest = 13 + w, 1, nil
      while true do
        oldest = tonumber(sub(log, from, from + 12))
        if not oldest or oldest > now - span then
          break
        end
        used, from = used - sub(log, from + 13, from + 12 + w), from + width
      end
      if from > 1 then
        log = sub(log, from)
      end
      if used + cost > allow or w > 3 or cost >= 10 ^ w or #log >= 2000 * width
        or log ~= '' and tonumber(sub(log, -width, -1 - w)) >= now then
        return
      end
      log = log .. stamp .. format(w == 1 and '%d' or w == 2 and '%02d' or '%03d', cost)
      text = first .. ',' .. format('%d', span) .. ',' .. warned .. ',' .. used + cost .. ',0,' .. w .. ',;' .. log
      uses[i] = used + cost .. ',' .. format('%d', (oldest or now) + span) .. ',0'
      if now + span > ends then
        ends = now + span
      end
      warned = '0'
    elseif kind == 'l' then
      p = p + 4
      first, used, warned = match(text, '^%[(%d+),(%d+),(%d+)%]$')
      if not first or x ~= '0' then
        return
      end
      local u = used + cost
      if u > allow then
        return
      end
      text = '[' .. first .. ',' .. u .. ',' .. warned .. ']'
      uses[i], data = u .. ',0,0', ''
    else
      local span, jitter = P[p + 4], P[p + 5]
      p = p + 6
      local at, k, frac, at2, k2, frac2
      first, at, k, frac, at2, k2, frac2 = match(text, '^%[(%d+),%d+,(%d+),(%d+),(%d+),?(%d*),?(%d*),?(%d*)%]$')
      if not first then
        return
      end
      -- The slot that ends last is kept, in front of this one.
      local till = at + k * (span + floor(jitter * frac / 65536))
      if frac2 ~= '' then
        local later = at2 + k2 * (span + floor(jitter * frac2 / 65536))
        if later >= till then
          till, at, k, frac = later, at2, k2, frac2
        end
      end
      if till > now or tonumber(at) >= now then
        return
      end
      text = '[' .. first .. ',' .. format('%d', span + jitter) .. ',' .. at .. ',' .. k .. ',' .. frac .. ',' .. stamp .. ',' .. cost .. ',' .. Q[2] .. ']'
      till = now + cost * (span + floor(jitter * Q[2] / 65536))
      uses[i] = '0,' .. format('%d', till) .. ',0'
      till = now + cost * (span + jitter)
      if till > ends then
        ends = till
      end
      warn = 0
    end
    -- The first slot marks its charge, and a crossed mark warns.
    first = tonumber(first)
    if first == 0 or first >= now or warn > 0 and warned == '0' and used + 0 < warn and used + cost >= warn then
      return
    end
    charges[i] = begins[i] .. data
    put[n + 1], put[n + 2] = fields[i], text
    n = n + 2
  end
  if x ~= '0' and tonumber(x) < ends + LINGERS then
    return
  end
  local answer = '1,' .. stamp .. ',' .. stamp .. ',0,-1|' .. concat(uses, ';') .. '|||0'
  call('SET', idKey, 'G,' .. Q[1] .. ',' .. stamp .. ',0,0,' .. Q[2] .. ',0\n\n' .. answer .. '\n' .. concat(fields, '\t', 1, m) .. '\n' ..
    concat(charges, ';') .. '\n\n\n', 'PX', '900000')
  call('HSET', KEYS[1], unpack(put, 1, n))
  return 'd,' .. stamp .. ',0\n' .. answer
end
