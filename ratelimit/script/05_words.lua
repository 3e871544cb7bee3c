-- What all parts use. Everything after this file is one function, so that the
-- functions in it find these names without a search: making closures is a good
-- part of what a short script costs.
local call, format, find, sub, match = redis.call, string.format, string.find, string.sub, string.match
local gmatch, gsub, byte, concat, floor = string.gmatch, string.gsub, string.byte, table.concat, math.floor
local insert, remove, sort, decode = table.insert, table.remove, table.sort, cjson.decode
local tonumber, tostring, type, next, pairs, ipairs, unpack = tonumber, tostring, type, next, pairs, ipairs, unpack
local error, pcall = error, pcall
local KEYS, ARGV = KEYS, ARGV

local NEVER = -1
-- FOREVER is later than all times; see evaluate.go.
local FOREVER = 4503599627370496
-- LINGERS is how long everything is kept beyond the end of what it counts: 32
-- days, more than the longest month. Expiry only tidies.
local LINGERS = 2764800000
local DAY = 86400000
