-- Logs that are read in place: entries of a fixed width, sorted by time, in one
-- text. An entry is 13 digits of time, then columns of w digits: units and, for
-- a Ratio, how many of them are good.
local function logs()
  local L = {}

  -- at returns entry i, from 1: its time, units and good ones.
  local function at(c, i)
    local w, log = c.w, c.log
    local from = (i - 1) * (13 + c.columns * w)
    local good = 0
    if c.columns == 2 then
      good = tonumber(sub(log, from + 14 + w, from + 13 + 2 * w))
    end
    return tonumber(sub(log, from + 1, from + 13)), tonumber(sub(log, from + 14, from + 13 + w)), good
  end
  L.at = at

  local function entry(c, t, n, good)
    if c.columns == 2 then
      return format('%013d%0' .. c.w .. 'd%0' .. c.w .. 'd', t, n, good)
    end
    return format('%013d%0' .. c.w .. 'd', t, n)
  end

  -- put writes an entry at i, in place of drop others.
  local function put(c, i, drop, t, n, good)
    local w = #format('%d', n)
    if w > c.w then
      local old, text = {w = c.w, log = c.log, columns = c.columns}, {}
      c.w = w
      for j = 1, c.n do
        text[j] = entry(c, at(old, j))
      end
      c.log = concat(text)
    end
    local width = 13 + c.columns * c.w
    c.log = sub(c.log, 1, (i - 1) * width) .. entry(c, t, n, good) .. sub(c.log, (i - 1 + drop) * width + 1)
    c.n = c.n + 1 - drop
  end
  L.put = put

  function L.drop(c, i)
    local width = 13 + c.columns * c.w
    c.log = sub(c.log, 1, (i - 1) * width) .. sub(c.log, i * width + 1)
    c.n = c.n - 1
  end

  -- formats are those of entries of one column, by its width.
  local formats, most = {'%013d%01d', '%013d%02d', '%013d%03d'}, {10, 100, 1000}

  function L.add(c, t, n, good)
    good = good or 0
    c.total, c.good = c.total + n, c.good + good
    local i, w = c.n, c.w
    if c.columns == 1 and w <= 3 and n < most[w] and (i == 0 or tonumber(sub(c.log, -13 - w, -1 - w)) < t) then
      c.log, c.n = c.log .. format(formats[w], t, n), i + 1 -- the common case
      return
    end
    while i > 0 do
      local was, m, g = at(c, i)
      if was == t then
        return put(c, i, 1, t, m + n, g + good)
      elseif was < t then
        break
      end
      i = i - 1
    end
    put(c, i + 1, 0, t, n, good)
  end

  -- prune forgets what is not newer than a time.
  function L.prune(c, before)
    local past = 0
    while past < c.n do
      local t, n, good = at(c, past + 1)
      if t > before then
        break
      end
      c.total, c.good, past = c.total - n, c.good - good, past + 1
    end
    if past > 0 then
      c.log, c.n = sub(c.log, past * (13 + c.columns * c.w) + 1), c.n - past
    end
  end

  -- since returns what is newer than a time, how many of it are good, and the
  -- oldest of it.
  function L.since(c, after)
    local n, good = c.total, c.good
    for i = 1, c.n do
      local t, m, g = at(c, i)
      if t > after then
        return n, good, t
      end
      n, good = n - m, good - g
    end
    return n, good, nil
  end

  -- search finds the entry of a time; nil if there is none.
  function L.search(c, t)
    local lo, hi = 1, c.n
    while lo <= hi do
      local i = floor((lo + hi) / 2)
      local was = at(c, i)
      if was == t then
        return i
      elseif was < t then
        lo = i + 1
      else
        hi = i - 1
      end
    end
  end

  function L.parse(text, columns)
    local first, span, warned, total, good, w, rest, log = match(text, '^(%d+),(%d+),(%d+),(%d+),(%d+),(%d+),([^;]*);(.*)$')
    w = tonumber(w)
    local c = {
      [1] = tonumber(first), span = tonumber(span), warned = tonumber(warned), total = tonumber(total), good = tonumber(good),
      w = w, columns = columns, log = log, n = #log / (13 + columns * w),
    }
    if rest ~= '' then
      c.pots = decode(rest)
    end
    return c
  end

  function L.text(c)
    return format('%d,%d,%d,%d,%d,%d,%s;', c[1], c.span, c.warned, c.total, c.good, c.w, c.pots and c.pots[1] and json(c.pots) or '') .. c.log
  end

  function L.new(columns)
    return {[1] = 0, span = 0, warned = 0, total = 0, good = 0, w = 1, columns = columns, log = '', n = 0}
  end

  -- coarse is the time at which an entry counts where a log is not exact.
  function L.coarse(span, t)
    local g = floor(span / 96)
    g = g > 1 and g or 1
    return floor((t + g - 1) / g) * g
  end

  return L
end

local logbook
local function L()
  logbook = logbook or logs()
  return logbook
end
