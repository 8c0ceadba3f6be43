-- Reads what has changed since a sequence.
-- KEYS: sequence, changes, epoch. ARGV: the sequence known, the most clients to
-- return, the prefix of clients' keys.
-- Returns the epoch, the sequence now, then for each client: itself, its
-- sequence and all fields of its key with their values.
local reply = { redis.call('GET', KEYS[3]) or '', tonumber(redis.call('GET', KEYS[1]) or 0) }
local changed = redis.call('ZRANGEBYSCORE', KEYS[2], '(' .. ARGV[1], '+inf', 'WITHSCORES', 'LIMIT', 0, ARGV[2])
for i = 1, #changed, 2 do
  local client = redis.call('HGETALL', ARGV[3] .. changed[i])
  table.insert(client, 1, changed[i + 1])
  table.insert(client, 1, changed[i])
  reply[#reply + 1] = client
end
return reply
