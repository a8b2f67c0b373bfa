-- Replace what is known of one partition. What is large comes in several calls that fill spare keys; the last call puts
-- these in place of the old ones at once.
-- keys:      1, 2 see the prelude; 3 ends (hash: partition), 4 extents, 5 producers, 6 spare extents, 7 spare producers
-- arguments: 1 see the prelude, 2 partition, 3 how many extents and producers earlier calls sent, 4 '1' in the last call,
--            5 end offset (8 bytes), 6 leader epoch, 7 number of extents, then these, then by producer: id, state
-- answers:   {'ok'}; {'again'} when what earlier calls sent is gone
if redis.call('LLEN', KEYS[6]) + redis.call('HLEN', KEYS[7]) ~= tonumber(ARGV[3]) then return {'again'} end
local first_producer = 8 + ARGV[7]
for i = 8, first_producer - 1 do redis.call('RPUSH', KEYS[6], ARGV[i]) end
for i = first_producer, #ARGV, 2 do redis.call('HSET', KEYS[7], ARGV[i], ARGV[i + 1]) end
if ARGV[4] ~= '1' then
  redis.call('PEXPIRE', KEYS[6], 60000)
  redis.call('PEXPIRE', KEYS[7], 60000)
  return {'ok'}
end
redis.call('UNLINK', KEYS[4], KEYS[5])
for i = 4, 5 do
  if redis.call('EXISTS', KEYS[i + 2]) == 1 then
    redis.call('RENAME', KEYS[i + 2], KEYS[i])
    redis.call('PERSIST', KEYS[i])
  end
end
local state = redis.call('HGET', KEYS[3], ARGV[2])
local epoch = math.max(known_epoch(false, state), tonumber(ARGV[6]))
local replaced = state and struct.unpack('>I4', state, 13) or 0
redis.call('HSET', KEYS[3], ARGV[2], ARGV[5] .. struct.pack('>i4I4', epoch, (replaced + 1) % 4294967296))
return {'ok'}
