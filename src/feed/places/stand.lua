-- Somebody comes, and begins at the lowest of the places that may be its own; the highest
-- is used up. As long as it is not known who of the others is there, nothing is taken.
-- KEYS: the places of its key, when each node was last alive.
-- ARGV: its name, its node, the head, its window; after how many ms of silence a node is
-- gone; how many places are kept; 1 the first time, 0 when those that were found have been
-- asked. Then in pairs who of them is silent, and who came to that one long ago
-- (*: whoever is noted).
-- Answers 1 if it is decided, where it begins (or nothing), 1 if somebody has its own
-- place, how many places were too old, how many too many; and in pairs who is here, and on
-- which node.
local key = KEYS[1]
local me, node, head, window = ARGV[1], ARGV[2], ARGV[3], tonumber(ARGV[4])
local silence, most, first = tonumber(ARGV[5]), tonumber(ARGV[6]), ARGV[7] == '1'
redis.call('ZADD', KEYS[2], now, node)
local silent = {}
for n = 8, #ARGV, 2 do
  silent[ARGV[n]] = ARGV[n + 1]
end

local places, undecided, here, comers, own = {}, {}, {}, {}, nil
local expired, dropped = 0, 0

-- Whether a session is gone, and until when its client may come back.
local function fate(name, at_node, its_window, ends)
  if ends > 0 then
    return true, ends
  end
  local alive = tonumber(redis.call('ZSCORE', KEYS[2], at_node) or 0)
  if alive + silence < now then
    return true, alive + its_window
  end
  return silent[name] ~= nil, now + its_window
end

local function sort(name, text)
  local at_node, at, its_window, ends, claims =
    string.match(text, '^(%S+) (%S+) (%d+) (%-?%d+) (%S+)$')
  local ms, seq = string.match(at or '', '(%d+)-(%d+)$')
  if not ms then
    return redis.call('HDEL', key, name)
  end
  ends = tonumber(ends)
  local gone, till = fate(name, at_node, tonumber(its_window), ends)
  if silent[name] and silent[name] ~= '*' then
    claims = silent[name]
  end
  if not gone then
    here[#here + 1] = name
    here[#here + 1] = at_node
  elseif till < now then
    redis.call('HDEL', key, name)
    expired = expired + 1
  elseif ends <= 0 and is_claimed(key, claims) then
    redis.call('HDEL', key, name)
  else
    local place = {name = name, at = at, ms = tonumber(ms), seq = tonumber(seq)}
    place.till, place.died = till, ends > 0
    place.text = function(there)
      return field(at_node, there, its_window, 0, claims)
    end
    local list = ends == UNDECIDED and undecided or places
    list[#list + 1] = place
  end
end

local all = redis.call('HGETALL', key)
for n = 1, #all, 2 do
  local name, text = all[n], all[n + 1]
  if name == me then
    own = text
  elseif string.sub(name, 1, 1) ~= '~' then
    sort(name, text)
  elseif tonumber(text) < now then
    redis.call('HDEL', key, name)
  else
    comers[#comers + 1] = {name = name, till = tonumber(text)}
  end
end

-- The soonest to end goes where there are too many.
local function keep_few(list)
  table.sort(list, function(a, b) return a.till > b.till end)
  local gone = 0
  while #list > most do
    redis.call('HDEL', key, table.remove(list).name)
    gone = gone + 1
  end
  return gone
end
keep_few(comers)
dropped = keep_few(places) + keep_few(undecided)

-- Of the same places those of the dead go first: a silent one may live.
local function is_lower(a, b)
  if a.ms ~= b.ms then return a.ms < b.ms end
  if a.seq ~= b.seq then return a.seq < b.seq end
  return not a.died and b.died
end

-- The lowest place, if there is one, and the highest is used up.
local function take()
  table.sort(places, is_lower)
  local lowest, highest = places[1], table.remove(places)
  if highest then
    redis.call('HDEL', key, highest.name)
  end
  return lowest
end

-- Who begins in nobody's place may be the client of one who is here.
local function counts_as_comer(name)
  if #here > 0 then
    redis.call('HSET', key, '~' .. name, string.format('%.0f', now + window + SPARE))
  end
end

local decided = not first or #here == 0
local lowest = nil
if decided then
  -- What those would have done by now whose node has ended before.
  for _, one in ipairs(undecided) do
    local it = take()
    if not it then
      counts_as_comer(one.name)
      it = one
    end
    one.at, one.ms, one.seq = it.at, it.ms, it.seq
    redis.call('HSET', key, one.name, one.text(one.at))
    places[#places + 1] = one
  end
  lowest = take()
  if not lowest then
    counts_as_comer(me)
  end
end
-- Whose place it takes may have come further since: what came after its own head is for it.
local at = head
local ms, seq = string.match(head, '(%d+)-(%d+)$')
if lowest and is_lower(lowest, {ms = tonumber(ms), seq = tonumber(seq), died = true}) then
  at = lowest.at
end
if first or own then
  local claims = string.match(own or '', '(%S+)$') or '-'
  write(key, me, window, field(node, at, window, decided and 0 or UNDECIDED, claims))
end
local is_taken = not first and not own
return {decided and 1 or 0, lowest and at or '', is_taken and 1 or 0, expired, dropped, here}
