-- Move the materialised consumer offsets of one __consumer_offsets partition forward.
-- keys:      1, 2 see the prelude; 3 leaders, 4 ends, 5 applied (hashes: partition), 6 offsets, 7 groups (hashes)
-- arguments: 1 see the prelude, 2 partition, 3 applied up to (8 bytes), 4 leader epoch, 5 what must have been applied
--            before (8 bytes), then for offsets and again for groups: number to set, name and value of each, number to
--            delete, name of each
--            An applied value is: up to (8), leader epoch (4).
-- answers:   {'ok'}, also when that much is applied already; {'fenced', partition, known leader epoch};
--            {'gap'} when less than argument 5 is applied
local applied, name = redis.call('HGET', KEYS[5], ARGV[2]), ARGV[2]
local known = known_epoch(redis.call('HGET', KEYS[3], name), redis.call('HGET', KEYS[4], name))
if applied then known = math.max(known, (struct.unpack('>i4', applied, 9))) end
local epoch = tonumber(ARGV[4])
if epoch < known then return {'fenced', name, known} end
if not less(applied and string.sub(applied, 1, 8) or string.rep('\0', 8), ARGV[3]) then return {'ok'} end
if less(applied and string.sub(applied, 1, 8) or string.rep('\0', 8), ARGV[5]) then return {'gap'} end

local i = 6
for hash = 6, 7 do
  local past = i + 1 + 2 * ARGV[i]
  for at = i + 1, past - 1, 2 do redis.call('HSET', KEYS[hash], ARGV[at], ARGV[at + 1]) end
  i = past + 1 + ARGV[past]
  for at = past + 1, i - 1 do redis.call('HDEL', KEYS[hash], ARGV[at]) end
end
redis.call('HSET', KEYS[5], name, ARGV[3] .. struct.pack('>i4', epoch))
return {'ok'}
