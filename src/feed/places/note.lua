-- Notes what has become of sessions of one node, and that it is alive.
-- KEYS: when each node was last alive, then the places of each session's key.
-- ARGV: the node; then for each session its name, whether it is here, has died or is gone,
-- 1 if that holds although somebody may have its place, where it is (-: where it was), its
-- window, who came after it.
-- Answers in whose place somebody else stands.
redis.call('ZADD', KEYS[1], now, ARGV[1])
redis.call('ZREMRANGEBYSCORE', KEYS[1], 0, now - 86400000)
local taken = {}
for n = 2, #KEYS do
  local key, first = KEYS[n], 2 + (n - 2) * 6
  local name, is, anew, at, window, claims = unpack(ARGV, first, first + 5)
  local old = redis.call('HGET', key, name)
  if is == 'gone' then
    redis.call('HDEL', key, name)
  elseif not old and anew == '0' then
    taken[#taken + 1] = name
  elseif is == 'died' and is_claimed(key, claims) then
    redis.call('HDEL', key, name)
  else
    local ends = is == 'died' and now + window or 0
    local was, till = string.match(old or '', '^%S+ (%S+) %S+ (%S+)')
    if at ~= '-' then
      write(key, name, window, field(ARGV[1], at, window, ends, claims))
    elseif tonumber(till) ~= UNDECIDED then
      write(key, name, window, field(ARGV[1], was, window, ends, claims))
    elseif is ~= 'died' then
      write(key, name, window, field(ARGV[1], was, window, UNDECIDED, claims))
    end
  end
end
return taken
