-- Looks whether what a node knows of the stream is still true; makes the stream if it is
-- not there, and a new epoch if it has lost something.
-- KEYS: the stream, its meta.
-- ARGV: the epoch that the node knows, or nothing; the newest id that it has seen; a new
-- epoch.
-- Answers the epoch and the floor: the newest id that is no longer there.
local known, seen = ARGV[1], ARGV[2]
local epoch, last, floor = unpack(redis.call('HMGET', KEYS[2], 'epoch', 'last', 'floor'))
local there = epoch and last and floor and redis.call('EXISTS', KEYS[1]) == 1
if there and (not before(floor, seen) or #redis.call('XRANGE', KEYS[1], seen, seen) == 1) then
  if before(last, seen) then
    redis.call('HSET', KEYS[2], 'last', seen)
  end
  return {epoch, floor}
end
-- Another node may have made the new epoch already.
if not there or epoch == known then
  epoch = ARGV[3]
end
if there then
  floor = seen
else
  -- Whatever is left is not to be trusted: it stands before the new floor.
  floor = '0-1'
  local newest = redis.call('XREVRANGE', KEYS[1], '+', '-', 'COUNT', 1)[1]
  for _, id in ipairs({seen, last or '0-1', newest and newest[1] or '0-1'}) do
    if before(floor, id) then
      floor = id
    end
  end
end
-- Later ids stand above every id that was ever seen. An error says that they do.
redis.pcall('XADD', KEYS[1], floor, 'x', '')
redis.call('XDEL', KEYS[1], floor)
if not last or before(last, floor) then
  last = floor
end
redis.call('HSET', KEYS[2], 'epoch', epoch, 'last', last, 'floor', floor)
return {epoch, floor}
