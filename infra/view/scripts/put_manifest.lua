-- Tell how far a partition's manifest ledger has come.
-- keys:      1, 2 see the prelude; 3 generation, 4 manifests (hash: partition), 5 topics (hash: topic id)
-- arguments: 1 see the prelude, 2 hint channel, 3 partition, 4 its topic id, 5 version
-- answers:   {'ok'}, also when a higher version is known or the topic is gone (an empty value)
if redis.call('HGET', KEYS[5], ARGV[4]) == '' then return {'ok'} end
local known = redis.call('HGET', KEYS[4], ARGV[3])
if known and tonumber(known) >= tonumber(ARGV[5]) then return {'ok'} end
redis.call('HSET', KEYS[4], ARGV[3], ARGV[5])
changed(KEYS[3], ARGV[2])
return {'ok'}
