-- KEYS: the stream, its meta. ARGV: the first id and the last, at most so many entries.
-- Answers the floor and the entries between the two.
local floor = redis.call('HGET', KEYS[2], 'floor')
local entries = redis.call('XRANGE', KEYS[1], ARGV[1], ARGV[2], 'COUNT', ARGV[3])
return {floor, entries}
