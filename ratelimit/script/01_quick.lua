-- The quick way: a request of plain claims that all have room at once, on an
-- account that nothing holds and nobody waits for. It answers as the whole script
-- would, at a fraction of its cost, or not at all: then nothing was written, and
-- the whole script (all that follows) decides.
-- Its arguments are written in redis_quick.go. What makes it quick: it comes
-- before everything else is made, its list is no JSON, texts are made once and
-- numbers only where they are reckoned with. Times have 13 digits (until 2286), so
-- that as texts they are in the order that they have as numbers.
local function quick(now)
  local A, call, match, sub, byte, format, concat = ARGV, redis.call, string.match, string.sub, string.byte, string.format, table.concat
  local m = A[9] + 0
  local known = 12 + m + A[10] -- the last of those that must not be there
  local p = known + 1
  local got = call('HMGET', KEYS[1], 'n', 'x', 'h', 'l', 't', 'g', unpack(A, 13, p - 1))
  local high, x, stamp = got[1], got[2], format('%d', now)
  if not x or #high ~= 13 or #stamp ~= 13 or high > stamp or stamp < A[7] or stamp >= A[8] or got[3] or got[4] or got[5] or got[6] then
    return
  end
  for i = m + 7, p - 7 do
    if got[i] then
      return
    end
  end
  local put, uses, took, n, ends = {'n', stamp, nil, nil, nil, nil}, {}, {}, 2, stamp
  for i = 1, m do
    local text, field, allow, cost, mark = got[6 + i], A[12 + i], A[p], A[11], '0'
    p = p + 1
    if allow == '+' then
      allow, cost, mark, p = A[p], A[p + 1], A[p + 2], p + 3
    end
    local kind = byte(field)
    local first, used, warned, data, total
    if not text then
      return
    elseif kind == 99 then -- c, a calendar
      local front, from, till, back
      front, first, from, till, used, back, warned, data =
        match(text, '^(%[(.............),(.............),(.............),)(%d+)(,(%d),"([^"]*)"%])$')
      if not first or stamp < from or stamp >= till then
        return
      end
      total = used + cost
      if total > allow + 0 then
        return
      end
      local count = format('%d', total)
      text, uses[i] = front .. count .. back, count .. ',' .. till .. ',0'
      if till > ends then
        ends = till
      end
    elseif kind == 114 then -- r, a rolling log, which begins at `at`
      local w, at
      first, warned, used, w, at = match(text, '^(.............),%d+,(%d+),(%d+),0,([123]),;()')
      if not first or #cost > w + 0 then
        return
      end
      local span, size = A[p], 13 + w
      p = p + 1
      local edge, from, oldest = format('%d', now - span), at, ''
      if #edge ~= 13 then
        return
      end
      -- What has left the window is forgotten.
      while true do
        oldest = sub(text, from, from + 12)
        if oldest == '' or oldest > edge then
          break
        end
        used, from = used - sub(text, from + 13, from + size - 1), from + size
      end
      total = used + cost
      if total > allow + 0 or #text - from >= 2000 * size or oldest ~= '' and sub(text, -size, -1 - w) >= stamp then
        return
      end
      local count, till = format('%d', total), format('%d', (oldest == '' and stamp or oldest) + span)
      text = first .. ',' .. span .. ',' .. warned .. ',' .. count .. ',0,' .. w .. ',;' .. sub(text, from) .. stamp ..
        (#cost < w + 0 and sub('00', 1, w - #cost) or '') .. cost
      uses[i], data, warned = count .. ',' .. till .. ',0', stamp, '0'
      till = format('%d', stamp + span)
      if till > ends then
        ends = till
      end
    elseif kind == 108 then -- l, a lifetime
      first, used, warned = match(text, '^%[(.............),(%d+),(%d+)%]$')
      if not first or x ~= '0' then
        return
      end
      total = used + cost
      if total > allow + 0 then
        return
      end
      local count = format('%d', total)
      text, uses[i], data = '[' .. first .. ',' .. count .. ',' .. warned .. ']', count .. ',0,0', ''
    else -- p, a pace
      local at, k, frac, at2, k2, frac2
      first, at, k, frac, at2, k2, frac2 = match(text, '^%[(.............),%d+,(.............),(%d+),(%d+),?(%d*),?(%d*),?(%d*)%]$')
      if not first then
        return
      end
      -- The slot that ends last is kept, in front of this one: the later of two.
      local span, jitter, ours, floor = A[p], A[p + 1], A[6], math.floor
      p = p + 2
      local till = at + k * (span + floor(jitter * frac / 65536))
      if frac2 ~= '' then
        local later = at2 + k2 * (span + floor(jitter * frac2 / 65536))
        if later < till then
          return
        end
        till, at, k, frac = later, at2, k2, frac2
      end
      if till > now or at >= stamp then
        return
      end
      text = '[' .. first .. ',' .. allow .. ',' .. at .. ',' .. k .. ',' .. frac .. ',' .. stamp .. ',' .. cost .. ',' .. ours .. ']'
      uses[i], data = '0,' .. format('%d', now + cost * (span + floor(jitter * ours / 65536))) .. ',0', stamp
      till = format('%d', now + cost * allow)
      if till > ends then
        ends = till
      end
    end
    -- The first slot marks its charge, and a crossed mark warns.
    if first >= stamp or mark ~= '0' and warned == '0' and used + 0 < mark + 0 and total >= mark + 0 then
      return
    end
    took[i] = data
    put[n + 1], put[n + 2] = field, text
    n = n + 2
  end
  if x ~= '0' and x + 0 < ends + 2764800000 then -- LINGERS
    return
  end
  local answer = '1,' .. stamp .. ',' .. stamp .. ',0,-1|' .. concat(uses, ';') .. '|||0'
  -- An id that is known is the whole script's to answer.
  if not call('SET', KEYS[#KEYS], format(A[5], stamp, answer, unpack(took)), 'NX', 'PX', '900000') then
    return
  end
  local numbered = A[12] ~= '' and A[known]
  if numbered then
    put[n + 1], put[n + 2], n = numbered, A[12] .. stamp .. ',1,' .. stamp .. ']', n + 2
  end
  call('HSET', KEYS[1], unpack(put, 1, n))
  -- A number is remembered for a day: two are looked at for each that is added,
  -- as the whole script does (sweep, 83_engine.lua).
  if numbered then
    for _, field in ipairs(call('HRANDFIELD', KEYS[1], '2')) do
      local at = sub(field, 1, 2) == 'm|' and match(call('HGET', KEYS[1], field), '^%["[^"]*",(%d+)')
      if at and at + 86400000 <= now then
        call('HDEL', KEYS[1], field)
      end
    end
  end
  return 'd,' .. stamp .. ',0\n' .. answer
end
