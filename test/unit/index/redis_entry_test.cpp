#include "sidecar/index/redis_entry.hpp"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "sidecar/index/redis_functions.hpp"

namespace anabranch {
namespace {

using testing::HasSubstr;

TEST(RedisEntry, IsReadBack) {
  const auto version = redis_generation(0x2a) + redis_number(UINT64_MAX - 1);
  for (const bool is_live : {true, false})
    for (const char* key : {R"({"id": 1})", ""}) {
      const auto text = make_redis_entry({.version = version, .is_live = is_live, .key = key});
      const auto entry = parse_redis_entry(text);
      ASSERT_TRUE(entry) << text;
      EXPECT_EQ(entry->version, version);
      EXPECT_EQ(entry->is_live, is_live);
      EXPECT_EQ(entry->key, key);
    }
  EXPECT_EQ(redis_version_in(version, redis_generation(0x2a)), UINT64_MAX - 1);
  EXPECT_EQ(redis_version_in(version, redis_generation(0x2b)), std::nullopt);
  EXPECT_EQ(redis_generation(redis_generation_max), "ffffffff");
}

TEST(RedisEntry, IsNothingOfSomebodyElses) {
  const std::string version(24, '0');
  EXPECT_TRUE(parse_redis_entry(version + "d"));
  for (const auto& text : {std::string(), std::string("d{}"), version, version + "x{}", version + "D{}",
                           version.substr(1) + "d{}", "G" + version.substr(1) + "d{}", "0" + version + "d{}"})
    EXPECT_FALSE(parse_redis_entry(text)) << text;
  for (const auto& text : {version.substr(1), version + "0", version.substr(1) + " ", std::string()})
    EXPECT_EQ(redis_version_in(text, redis_generation(0)), std::nullopt) << text;
}

// The functions lay it out on their own.
TEST(RedisEntry, IsWhatTheFunctionsKnow) {
  const std::string lua(redis_functions);
  EXPECT_THAT(lua, HasSubstr(fmt::format("local generation_digits, version_digits, state_digit = {}, {}, {}\n",
                                         redis_generation_digits, redis_version_digits, redis_version_digits + 1)));
  EXPECT_THAT(lua, HasSubstr(fmt::format("local first_generation = '{}'\n", redis_generation(1))));
  EXPECT_THAT(lua, HasSubstr(fmt::format("local live = '{}'\n", redis_live)));
}

}  // namespace
}  // namespace anabranch
