-- Forgets the oldest entries, and notes the last of them as the floor.
-- KEYS: the stream, its meta.
-- ARGV: for how many ms entries are kept, how many are, how many may go in one call.
-- Answers how many went. (XTRIM by MINID would not say which was the last.)
local now = redis.call('TIME')
local oldest = now[1] * 1000 + math.floor(now[2] / 1000) - ARGV[1] .. '-0'
local length = redis.call('XLEN', KEYS[1])
local too_many = length - ARGV[2]
local function goes(entry, n)
  return entry and (n <= too_many or before(entry[1], oldest))
end
if not goes(redis.call('XRANGE', KEYS[1], '-', '+', 'COUNT', 1)[1], 1) then
  return 0
end
local entries = redis.call('XRANGE', KEYS[1], '-', '+', 'COUNT', ARGV[3])
local gone = 0
while goes(entries[gone + 1], gone + 1) do
  gone = gone + 1
end
redis.call('XTRIM', KEYS[1], 'MAXLEN', '=', length - gone)
redis.call('HSET', KEYS[2], 'floor', entries[gone][1])
return gone
