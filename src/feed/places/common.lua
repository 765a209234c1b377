-- The places of a client's key are a hash. A field for each session: its node, where its
-- client is known to be, for how many ms that may come back, until when (0: it is here;
-- less: and does not know yet where it begins), and who came after it and may be its client. A field ~ and a name for each of those who
-- came and stand in nobody's place yet: until when that counts.
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
-- Beyond the window of the last that was written.
local SPARE = 3600000
local UNDECIDED = -1

local function field(node, at, window, ends, claims)
  return string.format('%s %s %d %.0f %s', node, at, window, ends, claims)
end

local function write(key, name, window, text)
  redis.call('HSET', key, name, text)
  redis.call('PEXPIRE', key, window + SPARE)
end

-- Whether one of those who came is a session's client: each is so of one.
local function is_claimed(key, claims)
  for name in string.gmatch(claims, '%x+') do
    if redis.call('HDEL', key, '~' .. name) == 1 then
      return true
    end
  end
  return false
end

