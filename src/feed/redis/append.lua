-- Appends events that are not there yet, each with the place of the one before it, and
-- notes how far sources have come.
-- KEYS: the stream, its meta, the id of each event, the cursor of each source.
-- ARGV: the epoch and the newest stream id that the node knows, for how many ms ids
-- are kept, the number of events, their texts, the sources' words.
-- Answers an empty list if the node does not know this stream (it has to meet it), else
-- for each event its place, with a ! before it if it was there already.
local epoch, last = unpack(redis.call('HMGET', KEYS[2], 'epoch', 'last'))
if epoch ~= ARGV[1] or not last or redis.call('EXISTS', KEYS[1]) == 0 then
  return {}
end
-- What somebody else has put there is newer than the last of ours.
if before(last, ARGV[2]) and #redis.call('XRANGE', KEYS[1], ARGV[2], ARGV[2]) == 0 then
  return {}
end
local keep, count = ARGV[3], tonumber(ARGV[4])
local places = {}
for n = 1, count do
  local place = redis.call('GET', KEYS[2 + n])
  if place then
    places[n] = '!' .. place
  else
    last = redis.call('XADD', KEYS[1], '*', 'e', ARGV[4 + n], 'p', last)
    redis.call('SET', KEYS[2 + n], last, 'PX', keep)
    places[n] = last
  end
end
redis.call('HSET', KEYS[2], 'last', last)
for n = 1, #KEYS - 2 - count do
  redis.call('SET', KEYS[2 + count + n], ARGV[4 + count + n])
end
return places
