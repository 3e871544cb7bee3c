-- X is the names above, for the parts that few calls need: making a function
-- costs a search for every local name that it uses, so those parts use only X,
-- and look the rest up when they are called for.
local core
X = function()
    core = core or {
    BOOKED = BOOKED, E = E, GO = GO, GONE = GONE, H = H, L = L, LATER = LATER, M = M, P = P, Q = Q, R = R, REFUSED = REFUSED,
    REMEMBERED = REMEMBERED, active = active, asked = asked, spread = spread, answer = answer, attempt = attempt, canonical = canonical,
    chargeOf = chargeOf, counter = counter, crosses = crosses, ensure = ensure, fieldsOf = fieldsOf, flush = flush,
    flushAll = flushAll, get = get, halt = halt, head = head, holdsOf = holdsOf, idKey = idKey, json = json,
    keepHolds = keepHolds, keepRecord = keepRecord, keyOf = keyOf, keyed = keyed, kind = kind, lasts = lasts,
    look = look, names = names, need = need, of = of, open = open, owe = owe, pack = pack, parse = parse,
    record = record, recordFor = recordFor, set = set, short = short, take = take, threads = threads, whole = whole,
  }
  return core
end
