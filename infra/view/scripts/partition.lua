-- Read a stretch of one partition's extents; from the first on, also its producers.
-- keys:      1, 2 see the prelude; 3 ends (hash: partition), 4 extents, 5 producers
-- arguments: 1 see the prelude, 2 partition, 3 index of the first extent, 4 index of the last
-- answers:   {'ok', end or false, number of extents, {extent, …}, {producer id, state, …}}
local producers = {}
if ARGV[3] == '0' then producers = redis.call('HGETALL', KEYS[5]) end
local extents = redis.call('LRANGE', KEYS[4], ARGV[3], ARGV[4])
return {'ok', redis.call('HGET', KEYS[3], ARGV[2]), redis.call('LLEN', KEYS[4]), extents, producers}
