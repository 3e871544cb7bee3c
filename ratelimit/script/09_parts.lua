-- The parts that few calls need. Making a function costs a search for every
-- local name that it uses, so those parts use only X, a table of the names (see
-- 95_core.lua), and are themselves made by one function, rare (64_rare.lua),
-- when one of them is called for.
local X, rare, made
local function part(name)
  made = made or rare()
  return made[name]
end

local pots, reserved, queued, engined, merged
local function P()
  pots = pots or part('generous')()
  return pots
end

local function R()
  reserved = reserved or part('reservations')()
  return reserved
end

local function Q()
  queued = queued or part('queues')()
  return queued
end

local function E()
  engined = engined or part('engine')()
  return engined
end

local function M()
  merged = merged or part('merging')()
  return merged
end
