-- Finish a rebuild: set the new incarnation, let the recovery lock go.
-- keys:      1, 2 see the prelude; 3 generation
-- arguments: 1 see the prelude (needs the lock), 2 hint channel, 3 new incarnation
-- answers:   {'ok'}
redis.call('SET', KEYS[1], ARGV[3])
redis.call('DEL', KEYS[2])
changed(KEYS[3], ARGV[2])
return {'ok'}
