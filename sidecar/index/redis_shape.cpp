#include "sidecar/index/redis_shape.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <map>
#include <utility>

#include <fmt/format.h>

#include "sidecar/index/hash_fields.hpp"
#include "sidecar/index/redis_entry.hpp"
#include "sidecar/index/shown.hpp"

namespace anabranch {
namespace {

using nlohmann::json;

constexpr std::array<std::string_view, 4> names = {"json", "hash", "sorted_set", "set"};  // in the order of RedisShape

constexpr std::size_t document_overhead_bytes = 64;
constexpr std::size_t fields_max = 1'664;  // columns of a row in PostgreSQL

std::optional<double> parse_score(std::string_view text) {
  double score = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), score);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return score;
}

constexpr std::size_t pack_overhead_bytes = 5;  // at most

// As a string of MessagePack.
void pack(std::string_view text, std::string& packed) {
  constexpr unsigned char fixstr = 0xa0, str32 = 0xdb;  // there for good
  constexpr std::size_t fixstr_bytes_max = 31;
  if (text.size() <= fixstr_bytes_max) {
    packed += static_cast<char>(fixstr | text.size());
  } else {
    packed += static_cast<char>(str32);
    for (int shift = 24; shift >= 0; shift -= 8) packed += static_cast<char>(text.size() >> shift);
  }
  packed += text;
}

void compare_string(const Document& expected, const redisReply& value, FoundDocument& found) {
  found.equal = value.type == REDIS_REPLY_STRING && text_of(value) == expected.content;
  found.actual = shown(text_of(value));
}

void compare_hash(const Document& expected, const redisReply& value, FoundDocument& found) {
  std::map<std::string, std::string> wanted;
  const bool is_wanted =
      expected.content &&
      read_hash_fields(*expected.content, [&](const auto& name, const auto& value) { wanted.emplace(name, value); });
  // Redis keeps no hash without fields: this one is as it should be.
  if (!found.present && is_wanted && wanted.empty()) found.present = found.equal = true;
  if (value.type != REDIS_REPLY_ARRAY) return;
  std::map<std::string, std::string> fields;
  for (std::size_t i = 0; i + 1 < value.elements; i += 2)
    fields.emplace(text_of(*value.element[i]), text_of(*value.element[i + 1]));
  found.equal = is_wanted && wanted == fields;
  found.actual = shown(json(fields).dump(-1, ' ', false, json::error_handler_t::replace));
}

void compare_score(const Document& expected, const redisReply& value, FoundDocument& found) {
  const auto score = parse_score(text_of(value));
  found.present = value.type == REDIS_REPLY_STRING;
  found.equal = found.present && expected.content && score && score == parse_score(*expected.content);
  if (found.present) found.actual = shown(text_of(value));
}

}  // namespace

std::optional<RedisShape> parse_redis_shape(std::string_view name) {
  const auto* const found = std::find(names.begin(), names.end(), name);
  if (found == names.end()) return std::nullopt;
  return static_cast<RedisShape>(found - names.begin());
}

std::string_view name_of(RedisShape shape) {
  return names.at(static_cast<std::size_t>(shape));
}

bool has_members(RedisShape shape) {
  return shape == RedisShape::set || shape == RedisShape::sorted_set;
}

std::size_t read_limit(RedisShape shape, const Document& expected) {
  if (shape == RedisShape::hash) return fields_max;
  // One more than is expected, so that what is longer is not taken for equal.
  return std::max(expected.content ? expected.content->size() : 0, actual_bytes_max) + 1;
}

std::size_t bytes_of(const Document& document) {
  return document.key.size() + document.target.size() + document.member.size() +
         document.content.value_or(std::string_view()).size() + document_overhead_bytes;
}

std::string entry_of(const Document& document, std::string_view version) {
  return make_redis_entry({.version = version, .is_live = document.content.has_value(), .key = document.key});
}

std::optional<std::size_t> add_fields(const Document& document, std::size_t argument_bytes_max,
                                      RedisArguments& arguments) {
  std::size_t count = 0, bytes = 0;
  const bool complete = read_hash_fields(document.content.value_or(std::string_view()),
                                         [&](std::string_view name, std::string_view value) {
                                           arguments.add(name);
                                           arguments.add(value);
                                           bytes += name.size() + value.size() + 2 * pack_overhead_bytes;
                                           ++count;
                                         });
  if (document.target.empty() || !complete || count > fields_max || bytes > argument_bytes_max) return std::nullopt;
  return count;
}

std::optional<std::string> add_document(RedisShape shape, const Document& document, std::string_view version,
                                        std::size_t argument_bytes_max, RedisArguments& arguments) {
  if (document.target.empty()) return "its key in Redis is empty";
  std::string packed;
  auto contents = document.content.value_or(std::string_view());
  if (document.content && shape == RedisShape::hash) {
    packed.reserve(contents.size());
    std::size_t count = 0;
    const bool complete = read_hash_fields(contents, [&](std::string_view name, std::string_view value) {
      pack(name, packed);
      pack(value, packed);
      ++count;
    });
    if (!complete) return "its contents are no JSON object of strings";
    if (count > fields_max) return fmt::format("it has more than {} columns", fields_max);
    contents = packed;
  }
  if (std::max({contents.size(), document.target.size(), document.member.size()}) > argument_bytes_max)
    return fmt::format("it has more than {} bytes: Redis's proto-max-bulk-len, or 512 MB", argument_bytes_max);
  arguments.add(entry_of(document, version));
  arguments.add(contents);
  if (has_members(shape)) arguments.add(document.member);
  return std::nullopt;
}

FoundDocument compare(RedisShape shape, const Document& expected, std::string_view type, const redisReply& value) {
  FoundDocument found;
  found.present = type != "none";
  switch (shape) {
    case RedisShape::json:
      compare_string(expected, value, found);
      break;
    case RedisShape::hash:
      compare_hash(expected, value, found);
      break;
    case RedisShape::sorted_set:
      compare_score(expected, value, found);
      break;
    case RedisShape::set:
      found.present = value.type == REDIS_REPLY_INTEGER && value.integer == 1;
      found.equal = found.present;
      break;
  }
  if (!expected.content) found.equal = !found.present;
  return found;
}

std::optional<HeldDocument> held_document(RedisShape shape, std::string_view identity, std::string_view key) {
  HeldDocument held{.key = std::string(key), .id = {}, .target = std::string(identity), .member = {}};
  if (has_members(shape)) {
    std::size_t size = 0;
    const auto [end, error] = std::from_chars(identity.data(), identity.data() + identity.size(), size);
    const auto rest = identity.substr(std::min<std::size_t>(end - identity.data() + 1, identity.size()));
    if (error != std::errc() || size > rest.size()) return std::nullopt;
    held.target = rest.substr(0, size);
    held.member = rest.substr(size);
    held.id = held.target + "\n" + held.member;
  } else {
    held.id = held.target;
  }
  return held;
}

}  // namespace anabranch
