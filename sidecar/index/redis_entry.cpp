#include "sidecar/index/redis_entry.hpp"

#include <charconv>

#include <fmt/format.h>

namespace anabranch {
namespace {

constexpr std::string_view digits = "0123456789abcdef";

bool is_version(std::string_view text) {
  return text.size() == redis_version_digits && text.find_first_not_of(digits) == std::string_view::npos;
}

}  // namespace

std::string redis_generation(int64_t generation) {
  return fmt::format("{:0{}x}", generation, redis_generation_digits);
}

std::string redis_number(uint64_t number) {
  return fmt::format("{:0{}x}", number, redis_number_digits);
}

std::optional<IndexVersion> redis_version_in(std::string_view version, std::string_view generation) {
  if (!is_version(version) || !version.starts_with(generation)) return std::nullopt;
  const auto number = version.substr(redis_generation_digits);
  IndexVersion value = 0;
  std::from_chars(number.data(), number.data() + number.size(), value, 16);
  return value;
}

std::string make_redis_entry(const RedisEntry& entry) {
  return fmt::format("{}{}{}", entry.version, entry.is_live ? redis_live : redis_deleted, entry.key);
}

std::optional<RedisEntry> parse_redis_entry(std::string_view text) {
  if (text.size() <= redis_version_digits || !is_version(text.substr(0, redis_version_digits))) return std::nullopt;
  const char state = text[redis_version_digits];
  if (state != redis_live && state != redis_deleted) return std::nullopt;
  return RedisEntry{.version = text.substr(0, redis_version_digits),
                    .is_live = state == redis_live,
                    .key = text.substr(redis_version_digits + 1)};
}

}  // namespace anabranch
