#include "sidecar/index/redis_error.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "sidecar/publish/json_text.hpp"

namespace anabranch {
namespace {

using Kind = IndexError::Kind;
using ::testing::HasSubstr;
using ::testing::Not;

Kind kind_of(std::string_view answer) {
  const auto error = redis_error(answer, "cache:6379");
  EXPECT_THAT(error.what(), HasSubstr("cache:6379"));
  EXPECT_FALSE(error.remedy().empty());
  return error.kind();
}

TEST(RedisError, TellsWhatPassesFromWhatDoesNot) {
  for (const char* answer : {"LOADING Redis is loading the dataset in memory", "MASTERDOWN Link with MASTER is down",
                             "ERR Function not found", "RENEWED the index is not the one that was opened"})
    EXPECT_EQ(kind_of(answer), Kind::unreachable) << answer;
  for (const char* answer :
       {"OOM command not allowed when used memory > 'maxmemory'.", "BUSY Redis is busy",
        "TRYAGAIN Multiple keys request during rehashing of slot", "CLUSTERDOWN Hash slot not served",
        "EXECABORT Transaction discarded because of: OOM command not allowed when used memory > 'maxmemory'.",
        "ERR max number of clients reached", "ASK 1 10.0.0.1:6379", "MISCONF Errors writing to the AOF file",
        "NOREPLICAS Not enough"})
    EXPECT_EQ(kind_of(answer), Kind::busy) << answer;
  for (const char* answer :
       {"WRONGPASS invalid username-password pair", "NOAUTH Authentication required.", "NOPERM this user has no",
        "READONLY", "CROSSSLOT Keys in request don't hash to the same slot", "MOVED 1 10.0.0.1:6379",
        "ERR unknown command 'FCALL'", "FENCED another sidecar has taken over", "OWNED", "LATER", "ERR of a new kind",
        ""})
    EXPECT_EQ(kind_of(answer), Kind::refused) << answer;
}

TEST(RedisError, SaysWhatToDo) {
  EXPECT_THAT(redis_error("CROSSSLOT Keys", "a").remedy(), HasSubstr("option slot"));
  EXPECT_THAT(redis_error("ERR unknown command 'FUNCTION'", "a").remedy(), HasSubstr("Redis 7"));
  EXPECT_THAT(redis_error("READONLY You can't write", "a").remedy(), HasSubstr("primary"));
}

TEST(RedisError, IsOneShortLineWithoutArguments) {
  EXPECT_THAT(
      redis_error("ERR unknown command 'HELLO', with args beginning with: '2' 'AUTH' 'a' 'hunter2'", "a").what(),
      AllOf(HasSubstr("HELLO"), Not(HasSubstr("hunter2"))));
  EXPECT_THAT(redis_error("ERR a\r\nb", "a").what(), HasSubstr("ERR a  b"));
  for (std::size_t size = 290; size < 310; ++size) {
    const std::string letters = "ERR " + std::string(size, 'x') + "\xc3\xa4\xc3\xa4";
    EXPECT_TRUE(is_utf8(redis_error(letters, "a").what())) << size;
  }
  EXPECT_LT(std::string(redis_error("ERR " + std::string(100'000, 'x'), "a").what()).size(), 500U);
}

}  // namespace
}  // namespace anabranch
