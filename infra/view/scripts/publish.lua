-- Make a segment visible: extents, end offsets and producer state of all its partitions, or nothing at all.
-- keys:      1, 2 see the prelude; 3 leaders, 4 ends (hashes: partition), then by partition: extents (list in order of
--            offsets), producers (hash: producer id)
-- arguments: 1 see the prelude, then by extent: partition, which pair of keys (from 0), extent, its end offset, number of
--            producers, and by producer: id, state
--            An extent begins with base offset, last offset (8 bytes each) and leader epoch (4); its segment's key follows
--            from byte 49. A partition's end is: end offset (8), leader epoch (4), times replaced (4).
-- answers:   {'ok'}; {'fenced', partition, known leader epoch}; {'gap', partition, end offset}; {'overlap', partition, end offset}

-- The place of the first stored extent that ends at or above base, and that extent.
local function find(list, base)
  local low, high = 0, redis.call('LLEN', list)
  while low < high do
    local middle = math.floor((low + high) / 2)
    if less(string.sub(redis.call('LINDEX', list, middle), 9, 16), base) then low = middle + 1 else high = middle end
  end
  return low, redis.call('LINDEX', list, low)
end

local function same(a, b)
  return string.sub(a, 1, 16) == string.sub(b, 1, 16) and string.sub(a, 49) == string.sub(b, 49)
end

-- An extent below the end: applied already (perhaps trimmed since), or a contradiction.
local function below(list, extent, epoch, state)
  local base, last = string.sub(extent, 1, 8), string.sub(extent, 9, 16)
  local place, stored = find(list, base)
  if stored and same(stored, extent) or state.added[string.sub(extent, 1, 16)] then return 'repeat' end
  if epoch < state.known then return 'fenced' end
  local trimmed = place == 0 and less(last, stored and string.sub(stored, 1, 8) or state.began)
  return trimmed and 'repeat' or 'overlap'
end

local states, adds = {}, {}
local i = 2
while i <= #ARGV do
  local name, pair, extent, past, producers = ARGV[i], tonumber(ARGV[i + 1]), ARGV[i + 2], ARGV[i + 3], tonumber(ARGV[i + 4])
  local list = KEYS[5 + 2 * pair]
  local state = states[name]
  if not state then
    local value = redis.call('HGET', KEYS[4], name)
    state = {
      finish = value and string.sub(value, 1, 8) or string.rep('\0', 8),
      tail = value and string.sub(value, 13, 16) or string.rep('\0', 4),
      known = known_epoch(redis.call('HGET', KEYS[3], name), value),
    }
    state.began, state.added = state.finish, {}  -- added: by base and last offset; the segment is the same
    states[name] = state
  end
  local base, epoch = string.sub(extent, 1, 8), struct.unpack('>i4', extent, 17)
  local verdict
  if less(base, state.finish) then
    verdict = below(list, extent, epoch, state)
  elseif epoch < state.known then
    verdict = 'fenced'
  elseif base ~= state.finish then
    verdict = 'gap'
  else
    verdict = 'add'
    adds[#adds + 1] = {name = name, pair = pair, extent = extent, first = i + 5, last = i + 4 + 2 * producers}
    state.finish, state.known, state.added[string.sub(extent, 1, 16)] = past, epoch, true
  end
  if verdict == 'fenced' then return {verdict, name, state.known} end
  if verdict == 'gap' or verdict == 'overlap' then return {verdict, name, state.finish} end
  i = i + 5 + 2 * producers
end

for _, add in ipairs(adds) do
  redis.call('RPUSH', KEYS[5 + 2 * add.pair], add.extent)
  for p = add.first, add.last, 2 do redis.call('HSET', KEYS[6 + 2 * add.pair], ARGV[p], ARGV[p + 1]) end
end
for name, state in pairs(states) do
  if next(state.added) then redis.call('HSET', KEYS[4], name, state.finish .. struct.pack('>i4', state.known) .. state.tail) end
end
return {'ok'}
