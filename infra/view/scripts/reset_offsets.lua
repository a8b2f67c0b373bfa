-- Forget the materialised consumer offsets of one __consumer_offsets partition, to replay them from its log.
-- keys:      1, 2 see the prelude; 3 leaders, 4 ends, 5 applied (hashes: partition), 6 offsets, 7 groups (hashes)
-- arguments: 1 see the prelude, 2 partition, 3 leader epoch
-- answers:   {'ok'}; {'fenced', partition, known leader epoch}
local applied, name = redis.call('HGET', KEYS[5], ARGV[2]), ARGV[2]
local known = known_epoch(redis.call('HGET', KEYS[3], name), redis.call('HGET', KEYS[4], name))
if applied then known = math.max(known, (struct.unpack('>i4', applied, 9))) end
if tonumber(ARGV[3]) < known then return {'fenced', name, known} end
redis.call('HDEL', KEYS[5], name)
redis.call('UNLINK', KEYS[6], KEYS[7])
return {'ok'}
