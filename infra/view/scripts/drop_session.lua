-- End a session at once.
-- keys:      1, 2 see the prelude; 3 generation, 4 sessions (hash: node id)
-- arguments: 1 see the prelude, 2 hint channel, 3 node id, 4 node epoch
-- answers:   {'ok'}
local value = redis.call('HGET', KEYS[4], ARGV[3])
if value and parse_session(value) == tonumber(ARGV[4]) then
  redis.call('HDEL', KEYS[4], ARGV[3])
  changed(KEYS[3], ARGV[2])
end
return {'ok'}
