-- Tell a ledger's newest record (of a topic or a setting).
-- keys:      1, 2 see the prelude; 3 generation, 4 topics or settings (hash: name)
-- arguments: 1 see the prelude, 2 hint channel, 3 name, 4 version, 5 record
-- answers:   {'ok'}, also when a newer version is known or the topic is gone (an empty value)
local value = redis.call('HGET', KEYS[4], ARGV[3])
if value == '' then return {'ok'} end
if value and tonumber(string.match(value, '^(%d+):')) >= tonumber(ARGV[4]) then return {'ok'} end
redis.call('HSET', KEYS[4], ARGV[3], ARGV[4] .. ':' .. ARGV[5])
changed(KEYS[3], ARGV[2])
return {'ok'}
