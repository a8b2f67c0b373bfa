-- Forget the extents that end below an offset; the end offset stays.
-- keys:      1, 2 see the prelude; 3 ends (hash: partition), 4 extents
-- arguments: 1 see the prelude, 2 partition, 3 offset (8 bytes)
-- answers:   {'ok'}
local count = 0
while true do
  local extent = redis.call('LINDEX', KEYS[4], 0)
  if not extent or not less(string.sub(extent, 9, 16), ARGV[3]) then break end
  redis.call('LPOP', KEYS[4])
  count = count + 1
end
local state = redis.call('HGET', KEYS[3], ARGV[2])
if count > 0 and state then
  local replaced = struct.unpack('>I4', state, 13)
  redis.call('HSET', KEYS[3], ARGV[2], string.sub(state, 1, 12) .. struct.pack('>I4', (replaced + 1) % 4294967296))
end
return {'ok'}
