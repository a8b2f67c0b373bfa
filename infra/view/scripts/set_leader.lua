-- Tell that a lease was taken.
-- keys:      1, 2 see the prelude; 3 generation, 4 leaders (hash: partition), 5 ends (hash: partition)
-- arguments: 1 see the prelude, 2 hint channel, 3 partition, 4 lease (leader epoch, node id, node epoch)
-- answers:   {'ok'}, {'stale'} when a higher leader epoch is known, or this one is over or another session's
local leader = redis.call('HGET', KEYS[4], ARGV[3])
if leader == ARGV[4] then return {'ok'} end
local epoch = struct.unpack('>i4', ARGV[4])
if epoch < known_epoch(leader, redis.call('HGET', KEYS[5], ARGV[3])) then return {'stale'} end
if leader and struct.unpack('>i4', leader) == epoch then return {'stale'} end
redis.call('HSET', KEYS[4], ARGV[3], ARGV[4])
changed(KEYS[3], ARGV[2])
return {'ok'}
