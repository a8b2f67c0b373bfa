-- Take or keep the recovery lock.
-- keys:      1 recovery lock
-- arguments: 1 token to hold it with, 2 time to live in ms, 3 '1' to take it when nobody holds it, '0' to keep it only
-- answers:   1 when it is ours, 0 when it is not
local holder = redis.call('GET', KEYS[1])
if holder ~= ARGV[1] and (holder or ARGV[3] ~= '1') then return 0 end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return 1
