// What Redis does in one piece for an index: a library of Redis Functions, in Lua.
#pragma once

#include <string_view>

namespace anabranch {

// The name is there for good: another text of the library needs another one, or two sidecars would replace each
// other's. So do its functions.
constexpr std::string_view redis_library = "anabranch_1";

// All functions: KEYS are documents, tombstones, checkpoint, then the target of each document.
//
//   documents   hash: identity -> entry (redis_entry.hpp)
//   tombstones  sorted set: identity -> when it was deleted, in seconds
//   checkpoint  hash: identity, owner, shape, token (16 digits), generation (8), version (24, the highest ever written)
//
// The identity of a document is its target, or of a member of a set or sorted set the number of the target's bytes,
// ":", target, member. Numbers are compared as text of fixed width: those of Lua are doubles. At most 1,000 documents
// a call: Lua's stack holds 8,000 arguments.
constexpr std::string_view redis_functions = R"lua(#!lua name=anabranch_1

local call, try  -- set by each function: they are not there while the library is loaded
local tombstone_seconds = 3600
local purged_min = 100
local generation_digits, version_digits, state_digit = 8, 24, 25
local first_generation = '00000001'
local live = 'd'
local fenced = 'FENCED another sidecar has taken over the index'
local later = 'LATER the index holds a later generation'

local function is_member(shape)
  return shape == 'set' or shape == 'sorted_set'
end

-- Of each document. `members` holds the member of the first at `first`, and those of the others so far apart.
local function identities_of(shape, keys, members, first, apart)
  if not is_member(shape) then return {unpack(keys, 4)} end
  local identities = {}
  for i = 4, #keys do
    local target = keys[i]
    identities[i - 3] = #target .. ':' .. target .. members[first + (i - 4) * apart]
  end
  return identities
end

-- Each returns nothing, or the error. What others hold there as another type is left as it is: SET and UNLINK alone
-- would not mind.

local put = {}

function put.json(target, _, content, ttl)
  local found = try('STRLEN', target)
  if type(found) == 'table' then return found end
  local done
  if ttl then
    done = try('SET', target, content, 'EX', ttl)
  else
    done = try('SET', target, content)
  end
  if done.err then return done end
end

-- Sets all fields; whether the hash has others besides: of columns that are NULL now, or of somebody else. Or the error.
local function set_fields(target, ...)
  local done = try('HSET', target, ...)
  if type(done) == 'table' then return done end
  return call('HLEN', target) ~= select('#', ...) / 2
end

function put.hash(target, _, content, ttl, renewed)
  local surplus
  if content == '' then
    surplus = try('HLEN', target)
  else
    surplus = set_fields(target, cmsgpack.unpack(content))
  end
  if type(surplus) == 'table' then return surplus end
  if surplus then
    call('UNLINK', target)
    if content ~= '' then set_fields(target, cmsgpack.unpack(content)) end
  end
  if ttl then
    call('EXPIRE', target, ttl)
  elseif renewed then
    call('PERSIST', target)  -- the generation before may have had a ttl
  end
end

function put.sorted_set(target, member, content)
  local done = try('ZADD', target, content, member)
  if type(done) == 'table' then return done end
end

function put.set(target, member)
  local done = try('SADD', target, member)
  if type(done) == 'table' then return done end
end

local length_of = {json = 'STRLEN', hash = 'HLEN'}
local remove_member = {sorted_set = 'ZREM', set = 'SREM'}

local function remove(shape, target, member)
  local command, done = remove_member[shape], nil
  if command then
    done = try(command, target, member)
  else
    done = try(length_of[shape], target)
  end
  if type(done) == 'table' then return done end
  if not command then call('UNLINK', target) end
end

-- What is wrong with a document, in words, and whether its key is somebody else's; nothing when the error is the server's,
-- and not this document's.
local function reason_of(failure)
  local code, words = string.match(failure.err, '^(%u+) (.*)')
  if code == 'WRONGTYPE' then return 'the key holds a value of another type', true end
  if code == 'ERR' then return 'Redis refuses it: ' .. words end
end

local function purge(documents, tombstones, now, count_max)
  local old = call('ZRANGE', tombstones, '-inf', now - tombstone_seconds, 'BYSCORE', 'LIMIT', 0, count_max)
  if #old == 0 then return end
  local dead = {}
  for i, entry in ipairs(call('HMGET', documents, unpack(old))) do
    -- Written again since, it is no tombstone.
    if entry and string.sub(entry, state_digit, state_digit) ~= live then dead[#dead + 1] = old[i] end
  end
  if #dead > 0 then call('HDEL', documents, unpack(dead)) end
  call('ZREM', tombstones, unpack(old))
end

-- ARGV: identity, token, version, shape, ttl or '', then of each document its new entry, contents and, in a set or sorted
-- set, member. The contents: of a string all of it; of a hash its fields and values by turns, each as a string of
-- MessagePack, which makes one argument of many; of a sorted set the score. Returns the documents that Redis does not
-- take: the place of one, what is wrong with it, the place of the next.
local function write(keys, argv)
  call, try = redis.call, redis.pcall
  local documents, tombstones, checkpoint = keys[1], keys[2], keys[3]
  local identity, token, version, shape, ttl = argv[1], argv[2], argv[3], argv[4], argv[5]
  local known = call('HMGET', checkpoint, 'identity', 'token', 'generation', 'version')
  local generation = string.sub(version, 1, generation_digits)
  if known[1] ~= identity then
    return redis.error_reply('RENEWED the index is not the one that was opened')
  end
  if token < known[2] then return redis.error_reply(fenced) end
  if generation < known[3] then return redis.error_reply(later) end

  local count = #keys - 3
  local width = is_member(shape) and 3 or 2
  local identities = identities_of(shape, keys, argv, 8, width)
  local is_late = known[4] and known[4] > version  -- otherwise no document has a later version, and none is looked up for it
  local may_renew = shape == 'hash' and ttl == '' and generation ~= first_generation
  local entries = {}
  if count > 0 and (is_late or may_renew) then entries = call('HMGET', documents, unpack(identities)) end

  local sub, put_document = string.sub, put[shape]
  local now = tonumber(call('TIME')[1])
  if ttl == '' then ttl = nil end
  local written, dead, refused, not_ours = {}, {}, {}, {}
  for i = 1, count do
    local old, at = entries[i], 6 + (i - 1) * width
    -- An equal one is written again: that repairs what others have done to it.
    if not old or sub(old, 1, version_digits) <= version then
      local target, new = keys[i + 3], argv[at]
      local member = argv[at + 2]  -- of a string or hash it is the next one's entry, and not looked at
      local is_live, failure = sub(new, state_digit, state_digit) == live, nil
      if is_live then
        local renewed = old and sub(old, 1, generation_digits) ~= generation
        failure = put_document(target, member, argv[at + 1], ttl, renewed)
      else
        failure = remove(shape, target, member)
      end
      if not failure then
        written[#written + 1] = identities[i]
        written[#written + 1] = new
        if not is_live then
          dead[#dead + 1] = now
          dead[#dead + 1] = identities[i]
        end
      else
        local reason, is_not_ours = reason_of(failure)
        if not reason then return failure end
        if is_not_ours then not_ours[#not_ours + 1] = identities[i] end
        refused[#refused + 1] = i
        refused[#refused + 1] = reason
      end
    end
  end
  if #written > 0 then call('HSET', documents, unpack(written)) end
  if #not_ours > 0 then call('HDEL', documents, unpack(not_ours)) end
  if #dead > 0 then call('ZADD', tombstones, unpack(dead)) end
  if not known[4] or known[4] < version then call('HSET', checkpoint, 'version', version) end
  -- As many as came may go, so that they never pile up.
  purge(documents, tombstones, now, purged_min + count)
  return refused
end

-- ARGV: owner, identity for an index that is not there yet, token, generation, shape. Returns identity, version or '',
-- shape.
local function open(keys, argv)
  call, try = redis.call, redis.pcall
  local documents, tombstones, checkpoint = keys[1], keys[2], keys[3]
  local owner, identity, token, generation, shape = argv[1], argv[2], argv[3], argv[4], argv[5]
  local known = call('HMGET', checkpoint, 'owner', 'identity', 'token', 'generation', 'version', 'shape')
  if not known[2] then
    -- What is left of one before was evicted in part: its versions say nothing any more.
    call('UNLINK', documents, tombstones)
    call('HSET', checkpoint, 'owner', owner, 'identity', identity, 'token', token, 'generation', generation,
               'shape', shape)
    return {identity, '', shape}
  end
  if known[1] ~= owner then return redis.error_reply('OWNED the index belongs to another database, or to another index of this one') end
  if token < known[3] then return redis.error_reply(fenced) end
  if generation < known[4] then return redis.error_reply(later) end
  -- What is no version would be taken for one later than any.
  if known[5] and not (#known[5] == version_digits and string.match(known[5], '^%x+$')) then
    call('HDEL', checkpoint, 'version')
    known[5] = false
  end
  call('HSET', checkpoint, 'token', token, 'generation', generation)
  return {known[2], known[5] or '', known[6]}
end

-- ARGV: shape, limit, then the member of each document. Returns of each: its entry without the key, or false; the type
-- of its target; what that holds, when it is of the shape's type: of a string at most so many bytes as the limit, of a
-- hash all when there are not more fields, of a sorted set the score or false, of a set whether the member is in it.
local function read(keys, argv)
  call, try = redis.call, redis.pcall
  local shape, limit = argv[1], tonumber(argv[2])
  local count = #keys - 3
  local entries = call('HMGET', keys[1], unpack(identities_of(shape, keys, argv, 3, 1)))
  local found = {}
  for i = 1, count do
    local target, held = keys[i + 3], false
    local kind = call('TYPE', target).ok
    if shape == 'json' and kind == 'string' then
      held = call('GETRANGE', target, 0, limit - 1)
    elseif shape == 'hash' and kind == 'hash' then
      held = call('HLEN', target) <= limit and call('HGETALL', target)
    elseif shape == 'sorted_set' and kind == 'zset' then
      held = call('ZSCORE', target, argv[i + 2])
    elseif shape == 'set' and kind == 'set' then
      held = call('SISMEMBER', target, argv[i + 2])
    end
    found[i] = {entries[i] and string.sub(entries[i], 1, state_digit), kind, held}
  end
  return found
end

-- ARGV: owner, shape, then the member of each document. Removes their values.
local function clear(keys, argv)
  call, try = redis.call, redis.pcall
  if call('HGET', keys[3], 'owner') ~= argv[1] then return end
  for i = 4, #keys do
    local failure = remove(argv[2], keys[i], argv[i - 1])
    if failure and not reason_of(failure) then return failure end
  end
end

-- ARGV: owner. Removes what is known of the documents.
local function forget(keys, argv)
  call, try = redis.call, redis.pcall
  if call('HGET', keys[3], 'owner') == argv[1] then call('UNLINK', keys[1], keys[2], keys[3]) end
end

redis.register_function('anabranch_1_write', write)
redis.register_function{function_name = 'anabranch_1_open', callback = open, flags = {'allow-oom'}}
redis.register_function{function_name = 'anabranch_1_read', callback = read, flags = {'no-writes'}}
redis.register_function{function_name = 'anabranch_1_clear', callback = clear, flags = {'allow-oom'}}
redis.register_function{function_name = 'anabranch_1_forget', callback = forget, flags = {'allow-oom'}}
)lua";

}  // namespace anabranch
