-- Let a piece of work go.
-- keys:      1, 2 see the prelude; 3 the work (string: '<incarnation> <owner>')
-- arguments: 1 see the prelude, 2 owner
-- answers:   {'ok'}, also when it is another's
if redis.call('GET', KEYS[3]) == ARGV[1] .. ' ' .. ARGV[2] then redis.call('DEL', KEYS[3]) end
return {'ok'}
