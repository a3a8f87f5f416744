// What is kept about a document in Redis, as the functions of redis_functions.hpp know it, too: there for good.
//
//   version (24 hexadecimal digits: 8 of the generation, 16 of the IndexVersion), "d" or, of what is deleted, "-", then
//   the key of the document
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "sidecar/index/index.hpp"

namespace anabranch {

constexpr std::size_t redis_generation_digits = 8, redis_version_digits = 24;
constexpr std::size_t redis_number_digits = redis_version_digits - redis_generation_digits;
constexpr char redis_live = 'd', redis_deleted = '-';
constexpr int64_t redis_generation_max = UINT32_MAX;

// Numbers as Redis compares them: as texts. A generation is at most redis_generation_max.
std::string redis_generation(int64_t generation);
std::string redis_number(uint64_t number);
// The IndexVersion of a version; nullopt for another generation's, or where it is none.
std::optional<IndexVersion> redis_version_in(std::string_view version, std::string_view generation);

// Views into the entry's text.
struct RedisEntry {
  std::string_view version;
  bool is_live = false;
  std::string_view key;  // empty where only the beginning was read
};

std::string make_redis_entry(const RedisEntry& entry);
// nullopt: somebody else has written it.
std::optional<RedisEntry> parse_redis_entry(std::string_view text);

}  // namespace anabranch
