-- Renew a session.
-- keys:      1, 2 see the prelude; 3 sessions (hash: node id)
-- arguments: 1 see the prelude, 2 node id, 3 node epoch, 4 time to live in ms
-- answers:   {'ok'}, {'lapsed', known node epoch or -1} when it is over or was dropped
local value = redis.call('HGET', KEYS[3], ARGV[2])
if not value then return {'lapsed', -1} end
local epoch, lapses, said = parse_session(value)
local now = now_ms()
if epoch ~= tonumber(ARGV[3]) or lapses <= now then return {'lapsed', epoch} end
redis.call('HSET', KEYS[3], ARGV[2], epoch .. ' ' .. string.format('%.0f', now + ARGV[4]) .. ' ' .. said)
return {'ok'}
