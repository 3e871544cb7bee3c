-- From here to 89_rare.lua are the parts that few calls need; see 09_parts.lua.
rare = function()
