-- Who renews; sessions that lapsed are dropped here, so that a lapse raises the generation like any other change.
-- keys:      1, 2 see the prelude; 3 generation, 4 sessions (hash: node id)
-- arguments: 1 see the prelude, 2 hint channel
-- answers:   {'ok', server, generation, {node id, node epoch, what it says of itself, …}}; the server is another one after
--            each start and failover, and empty where it does not tell or we may not ask
local now = now_ms()
local live, lapsed = {}, false
local entries = redis.call('HGETALL', KEYS[4])
for i = 1, #entries, 2 do
  local epoch, lapses, said = parse_session(entries[i + 1])
  if lapses > now then
    live[#live + 1], live[#live + 2], live[#live + 3] = entries[i], epoch, said
  else
    redis.call('HDEL', KEYS[4], entries[i])
    lapsed = true
  end
end
if lapsed then changed(KEYS[3], ARGV[2]) end
local info = redis.pcall('INFO', 'server')
local server = type(info) == 'string' and string.match(info, 'run_id:(%w+)') or ''
return {'ok', server, tonumber(redis.call('GET', KEYS[3]) or 0), live}
