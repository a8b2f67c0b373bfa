-- Put in front of every script but lock.lua and begin_wipe.lua.
-- keys:      1 incarnation, 2 recovery lock (then the script's own)
-- arguments: 1 the token of the caller: the incarnation, or what the recovery lock holds while it rebuilds
-- answers:   {'lost'} when the view is empty or of another incarnation
local known = redis.call('GET', KEYS[1]) or redis.call('GET', KEYS[2])
if known ~= ARGV[1] then return {'lost'} end

-- Offsets are 8 big-endian bytes, never negative; a Lua number would lose the lowest bits of the largest.
local function less(a, b)
  local ah, al = struct.unpack('>I4I4', a)
  local bh, bl = struct.unpack('>I4I4', b)
  return ah < bh or (ah == bh and al < bl)
end

-- The highest leader epoch that leases (hash field: leader epoch, node id, node epoch) and extents (hash field: end
-- offset, leader epoch, times replaced) tell of a partition; -1 when neither does.
local function known_epoch(leader, state)
  local epoch = -1
  if leader then epoch = struct.unpack('>i4', leader) end
  if state then epoch = math.max(epoch, (struct.unpack('>i4', state, 9))) end
  return epoch
end

local function changed(generation, channel)
  redis.call('INCR', generation)
  redis.call('PUBLISH', channel, '')
end

local function now_ms()
  local time = redis.call('TIME')
  return time[1] * 1000 + math.floor(time[2] / 1000)
end

-- A session's value is '<node epoch> <lapses at, ms> <what it says of itself>'.
local function parse_session(value)
  local epoch, lapses, said = string.match(value, '^(%d+) (%d+) (.*)$')
  return tonumber(epoch), tonumber(lapses), said
end
