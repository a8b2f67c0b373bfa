-- Tell that a lease was released. Its leader epoch stays known, so that nothing older counts afterwards.
-- keys:      1, 2 see the prelude; 3 generation, 4 leaders (hash: partition)
-- arguments: 1 see the prelude, 2 hint channel, 3 partition, 4 released lease (leader epoch, -1, node epoch)
-- answers:   {'ok'}
local leader = redis.call('HGET', KEYS[4], ARGV[3])
if leader == ARGV[4] then return {'ok'} end
if leader and struct.unpack('>i4', leader) > struct.unpack('>i4', ARGV[4]) then return {'ok'} end
redis.call('HSET', KEYS[4], ARGV[3], ARGV[4])
changed(KEYS[3], ARGV[2])
return {'ok'}
