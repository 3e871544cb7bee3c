-- The call. An account that turns out to be missing, or an error, has changed
-- nothing: what changes is written at the end.
local run = reserve
if verb ~= 'reserve' then
  local verbs = {
    fire = fire, cancelItems = cancelItems, pause = pause, cool = cool, observe = observe, give = give, charge = charge,
    freeze = freeze, thaw = thaw, absorb = absorb,
    keep = function() return close(false) end, cancel = function() return close(true) end,
  }
  run = verbs[verb]
end
local ok, out = pcall(run)
if ok then
  return out
end
if type(out) == 'table' and out.need then
  return answer(out.alias and 'N' or 'n', out.need)
end
if type(out) == 'table' then
  return out
end
return redis.error_reply('ERR quotagate: ' .. tostring(out))
