-- Take or keep a piece of work. It is held under one incarnation: after a rebuild it is free.
-- keys:      1, 2 see the prelude; 3 the work (string: '<incarnation> <owner>')
-- arguments: 1 see the prelude, 2 owner, 3 time to live in ms
-- answers:   {'ok'} when taken or already the owner's, {'held'} while another holds it
local holder, wanted = redis.call('GET', KEYS[3]), ARGV[1] .. ' ' .. ARGV[2]
if holder and holder ~= wanted and string.sub(holder, 1, #ARGV[1] + 1) == ARGV[1] .. ' ' then return {'held'} end
redis.call('SET', KEYS[3], wanted, 'PX', ARGV[3])
return {'ok'}
