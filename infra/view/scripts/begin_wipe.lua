-- Forget the incarnation, so that nobody but the holder of the recovery lock writes.
-- keys:      1 incarnation, 2 recovery lock
-- arguments: 1 token that holds the lock
-- answers:   {'ok'}, {'lost'} when the lock is not ours
if redis.call('GET', KEYS[2]) ~= ARGV[1] then return {'lost'} end
redis.call('DEL', KEYS[1])
return {'ok'}
