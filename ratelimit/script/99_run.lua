-- The call. An account that turns out to be missing, or an error, has changed
-- nothing: what changes is written at the end.
local ok, out = pcall(verb == 'reserve' and reserve or part('verbs')()[verb])
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
