-- plain reports that the allowance is the claim's and nothing else pays.
local function plain(d)
  local x, a = d.x, d.a
  if x ~= 0 and (x[2] > 0 or #x[4] > 0) then
    return false
  end
  if a.f.g then
    local limit = match(d.f, '^.([^|]*)')
    for _, g in ipairs(decode(a.f.g)) do
      if g[2] == limit then
        return false
      end
    end
  end
  if a.f.h then
    for _, h in ipairs(holdsOf(a)) do
      if h[4] > 0 and h[2] > 0 then
        return false
      end
    end
  end
  return true
end
