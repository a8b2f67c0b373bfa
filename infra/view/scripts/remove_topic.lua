-- Forget a topic that is gone for good; an empty value stays, so that a late record does not bring it back.
-- keys:      1, 2 see the prelude; 3 generation, 4 topics (hash: topic id), 5 leaders, 6 ends, 7 manifests
--            (hashes: partition), 8… keys of its partitions
-- arguments: 1 see the prelude, 2 hint channel, 3 topic id, 4… its partitions
-- answers:   {'ok'}
if redis.call('HGET', KEYS[4], ARGV[3]) ~= '' then
  redis.call('HSET', KEYS[4], ARGV[3], '')
  changed(KEYS[3], ARGV[2])
end
for i = 4, #ARGV do
  for hash = 5, 7 do redis.call('HDEL', KEYS[hash], ARGV[i]) end
end
for i = 8, #KEYS do redis.call('UNLINK', KEYS[i]) end
return {'ok'}
