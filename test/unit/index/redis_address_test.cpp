#include "sidecar/index/redis_address.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "sidecar/index/index.hpp"

namespace anabranch {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

// "PROBLEM; REMEDY", or that there was none.
std::string refusal(std::string_view url) {
  try {
    parse_redis_url(url);
  } catch (const IndexError& error) {
    EXPECT_EQ(error.kind(), IndexError::Kind::refused);
    return error.what() + std::string("; ") + error.remedy();
  }
  return "not refused";
}

TEST(RedisAddress, IsReadFromAnUrl) {
  const RedisAddress near{.host = "localhost", .port = 6379, .path = {}, .database = 0};
  EXPECT_EQ(parse_redis_url("redis://localhost"), near);
  EXPECT_EQ(parse_redis_url("redis://localhost/"), near);
  EXPECT_EQ(parse_redis_url("redis://10.0.0.1:7000/15"),
            (RedisAddress{.host = "10.0.0.1", .port = 7000, .path = {}, .database = 15}));
  EXPECT_EQ(parse_redis_url("redis://[::1]:65535"),
            (RedisAddress{.host = "::1", .port = 65535, .path = {}, .database = 0}));
  EXPECT_EQ(parse_redis_url("redis://[::1]/2").database, 2);
  EXPECT_EQ(parse_redis_url("unix:///run/redis.sock").path, "/run/redis.sock");
  EXPECT_EQ(parse_redis_url("unix:///run/redis.sock?db=3"),
            (RedisAddress{.host = {}, .port = 6379, .path = "/run/redis.sock", .database = 3}));
  EXPECT_EQ(parse_redis_url("rediss://cache/1"),
            (RedisAddress{.host = "cache", .port = 6379, .path = {}, .database = 1, .tls = true}));
}

TEST(RedisAddress, IsNamedAsPeopleWriteIt) {
  EXPECT_EQ(parse_redis_url("redis://cache/3").text(), "cache:6379");
  EXPECT_EQ(parse_redis_url("redis://[::1]:1").text(), "[::1]:1");
  EXPECT_EQ(parse_redis_url("unix:///run/r.sock?db=3").text(), "/run/r.sock");
}

TEST(RedisAddress, IsWrittenAsItIsRead) {
  for (const char* url : {"redis://cache:6379/3", "rediss://cache:6380/0", "redis://[::1]:1/0", "unix:///run/r.sock",
                          "unix:///run/a@b c.sock?db=65535"})
    EXPECT_EQ(parse_redis_url(url).url(), url);
  EXPECT_EQ(parse_redis_url("unix:///r?db=0").url(), "unix:///r");
  EXPECT_THAT(refusal("unix:///" + std::string(107, 'a')), AllOf(HasSubstr("107 bytes"), HasSubstr("symbolic link")));
  EXPECT_EQ(parse_redis_url("unix:///" + std::string(106, 'a') + "?db=1").path.size(), 107U);
}

TEST(RedisAddress, IsRefusedWhereItCannotBeMeant) {
  for (const char* url : {"",
                          "redis",
                          "http://a",
                          "redis://",
                          "redis://:6379",
                          "redis://a:",
                          "redis://a:0",
                          "redis://a:65536",
                          "redis://a:1b",
                          "redis://a/b",
                          "redis://a/-1",
                          "redis://a/65536",
                          "redis://a/99999999999",
                          "redis://a b",
                          "redis://a?db=1",
                          "rediss://",
                          "redisss://a",
                          "redis://[::1%1]",
                          "unix:///r/",
                          "unix:///r?db=65536",
                          "redis://a/1/2",
                          "redis://[::1",
                          "redis://[::1]x",
                          "redis://::1",
                          "unix://run/r",
                          "unix://",
                          "unix:///r?db=",
                          "unix:///r?timeout=1"})
    EXPECT_THAT(refusal(url), HasSubstr("write redis://HOST:PORT/DATABASE")) << url;
}

TEST(RedisAddress, KeepsSecretsOutOfMessages) {
  for (const char* url : {"redis://app:hunter2@a:1/0", "rediss://app:hunter2@a:1/0"})
    EXPECT_THAT(refusal(url), AllOf(HasSubstr("password_file"), Not(HasSubstr("hunter2")))) << url;
}

}  // namespace
}  // namespace anabranch
