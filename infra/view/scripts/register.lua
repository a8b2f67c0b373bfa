-- Enter a session.
-- keys:      1, 2 see the prelude; 3 generation, 4 sessions (hash: node id)
-- arguments: 1 see the prelude, 2 hint channel, 3 node id, 4 node epoch, 5 time to live in ms, 6 what it says of itself
-- answers:   {'ok'}, {'fenced', node epoch} when a later session of the node is known
local value = redis.call('HGET', KEYS[4], ARGV[3])
local epoch, lapses, said
if value then epoch, lapses, said = parse_session(value) end
if epoch and epoch > tonumber(ARGV[4]) then return {'fenced', epoch} end
local now = now_ms()
local entry = ARGV[4] .. ' ' .. string.format('%.0f', now + ARGV[5]) .. ' ' .. ARGV[6]
redis.call('HSET', KEYS[4], ARGV[3], entry)
if not epoch or epoch < tonumber(ARGV[4]) or lapses <= now or said ~= ARGV[6] then changed(KEYS[3], ARGV[2]) end
return {'ok'}
