// Whether a server had what the topics hold of it.
#include "sidecar/pg/server_history.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace anabranch {
namespace {

using ::testing::HasSubstr;

TEST(ServerHistory, HadWhatItHasFlushedOnTheSameTimeline) {
  const ServerHistory server{"700", 2, Lsn(0x1000), std::nullopt};
  EXPECT_FALSE(missing_history(server, Lsn(0x1000), 2));
  EXPECT_THAT(missing_history(server, Lsn(0x1001), 2).value_or(""), HasSubstr("WAL ends at 0/1000 on timeline 2"));
  EXPECT_THAT(missing_history(server, Lsn(0x10), 3).value_or(""), HasSubstr("on timeline 3"));
}

TEST(ServerHistory, HadOfAnEarlierTimelineWhatLiesBeforeItsEnd) {
  EXPECT_FALSE(missing_history({"700", 2, Lsn(0x5000), Lsn(0x900)}, Lsn(0x900), 1));
  EXPECT_THAT(missing_history({"700", 2, Lsn(0x5000), Lsn(0x900)}, Lsn(0x901), 1).value_or(""),
              HasSubstr("left at 0/900 for timeline 2"));
  EXPECT_THAT(missing_history({"700", 2, Lsn(0x5000), std::nullopt}, Lsn(0x1), 1).value_or(""),
              HasSubstr("an unknown position"));
}

}  // namespace
}  // namespace anabranch
