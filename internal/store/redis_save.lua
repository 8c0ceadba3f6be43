-- Saves what one instance knows of some clients, and decides between instances.
-- KEYS: sequence, changes, expiry, epoch, then one key for each client.
-- ARGV: the instance, the channel, the epoch that the instance knows ('' for
--   none), then for each client eight:
--   client, operation (save, lift, forget), the generation that the instance
--   knows, the time of its decision in microseconds, when nothing of it matters
--   any more in milliseconds, 1 where a person decided, the ban, the evidence.
-- Returns for each client: generation, sequence (0 where nothing changed),
--   1 where the instance was overruled, the time of the decision in force and
--   its ban, then the evidence of each other instance. The epoch comes
--   last; alone, where the instance knows another: its generations mean nothing.
local instance, channel, first, stride = ARGV[1], ARGV[2], 4, 8
local own = 'i:' .. instance
local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
local longest = now
local epoch = redis.call('GET', KEYS[4]) or ''
if ARGV[3] ~= '' and ARGV[3] ~= epoch then
  return { epoch }
end
if epoch == '' then
  epoch = instance .. '-' .. string.format('%d', now)
end

-- extend makes a key live until then at least and returns how long it will.
local function extend(key, till)
  local left = redis.call('PTTL', key)
  if left >= 0 and now + left >= till then
    return now + left
  end
  redis.call('PEXPIREAT', key, till)
  return till
end

-- note puts a client at the end of the changes.
local function note(client, key, till)
  local seq = redis.call('INCR', KEYS[1])
  till = extend(key, till)
  longest = math.max(longest, till)
  redis.call('ZADD', KEYS[2], seq, client)
  redis.call('ZADD', KEYS[3], till, client)
  return seq
end

-- others are the contributions of other instances that still matter.
local function others(reply, key)
  local fields = redis.call('HGETALL', key)
  for i = 1, #fields, 2 do
    local field, value = fields[i], fields[i + 1]
    if string.sub(field, 1, 2) == 'i:' and field ~= own then
      local space = string.find(value, ' ', 1, true)
      if tonumber(string.sub(value, 1, space - 1)) <= now then
        redis.call('HDEL', key, field)
      else
        reply[#reply + 1] = string.sub(value, space + 1)
      end
    end
  end
end

local replies = {}
for i = first, #ARGV, stride do
  local client, operation, known = ARGV[i], ARGV[i + 1], tonumber(ARGV[i + 2])
  local at, till, person = tonumber(ARGV[i + 3]), tonumber(ARGV[i + 4]), ARGV[i + 5] == '1'
  local ban, evidence = ARGV[i + 6], ARGV[i + 7]
  local key = KEYS[5 + (i - first) / stride]
  local stored = redis.call('HMGET', key, 'gen', 'at', 'ban')
  local gen, decided, was = tonumber(stored[1] or 0), tonumber(stored[2] or 0), stored[3]
  local same = was and ban ~= '' and at == decided
  local seq, overruled, news = 0, 0, false

  if operation == 'forget' then
    redis.call('HDEL', key, own)
  elseif known < gen and not same and not (person and at >= decided) then
    overruled = 1
  else
    gen = math.max(gen, known)
    if operation == 'lift' or ban ~= '' and not same then
      gen, decided, news = gen + 1, at, true
      till = extend(key, till) -- the end of a ban is remembered as long as the ban was to be
      redis.call('DEL', key)
      redis.call('HSET', key, 'at', string.format('%d', at))
    end
    redis.call('HSET', key, 'gen', string.format('%d', gen))
    if ban ~= '' then
      redis.call('HSET', key, 'ban', ban)
    end
    if evidence ~= '' then
      redis.call('HSET', key, own, string.format('%d ', till) .. evidence)
    else
      redis.call('HDEL', key, own)
    end
    seq = note(client, key, till)
    if news then
      redis.call('PUBLISH', channel, string.format('%s %s %d %d %d %d %s ', epoch, instance, seq, gen, at, till, client) .. ban)
    end
  end

  local reply = { gen, seq, overruled, string.format('%d', decided), '' }
  if overruled == 1 and was then
    reply[5] = was
  end
  if operation ~= 'forget' then
    others(reply, key)
  end
  replies[#replies + 1] = reply
end

if longest > now then
  redis.call('SET', KEYS[4], epoch, 'NX')
  for i = 1, 4 do
    extend(KEYS[i], longest + 86400000)
  end
end
local over = redis.call('ZRANGEBYSCORE', KEYS[3], '-inf', now, 'LIMIT', 0, 1000)
if #over > 0 then
  redis.call('ZREM', KEYS[2], unpack(over))
  redis.call('ZREM', KEYS[3], unpack(over))
end
replies[#replies + 1] = epoch
return replies
