-- Take or keep the recovery lock.
-- keys:      1 recovery lock
-- arguments: 1 token to hold it with, 2 time to live in ms
-- answers:   1 when taken or already ours, 0 while another holds it
local holder = redis.call('GET', KEYS[1])
if holder and holder ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return 1
