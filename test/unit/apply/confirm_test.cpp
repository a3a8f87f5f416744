#include "sidecar/apply/confirm.hpp"

#include <gtest/gtest.h>

namespace anabranch {
namespace {

TEST(FlushTracker, CountsAPositionOnceItsCommitIsOnDisk) {
  FlushTracker tracker(Lsn(100));
  tracker.recorded(Lsn(200), Lsn(1'000));
  tracker.recorded(Lsn(300), Lsn(1'100));
  EXPECT_EQ(tracker.position(), Lsn(100));
  tracker.flushed(Lsn(999));
  EXPECT_EQ(tracker.position(), Lsn(100));
  tracker.flushed(Lsn(1'000));
  EXPECT_EQ(tracker.position(), Lsn(200));
  tracker.flushed(Lsn(5'000));
  EXPECT_EQ(tracker.position(), Lsn(300));
}

TEST(FlushTracker, NeverFalls) {
  FlushTracker tracker(Lsn(100));
  tracker.recorded(Lsn(50), Lsn(10));
  tracker.flushed(Lsn(10));
  EXPECT_EQ(tracker.position(), Lsn(100));
}

TEST(FlushTracker, StaysCarefulWhenItForgets) {
  FlushTracker tracker(Lsn(0));
  for (uint64_t i = 1; i <= 5'000; ++i) tracker.recorded(Lsn(i), Lsn(10 * i));
  for (uint64_t flushed = 0; flushed <= 50'000; flushed += 7) {
    tracker.flushed(Lsn(flushed));
    ASSERT_LE(tracker.position().value(), flushed / 10);
  }
  tracker.flushed(Lsn(50'000));
  EXPECT_EQ(tracker.position(), Lsn(5'000));
}

TEST(AckSet, FollowsTheLiveGroup) {
  AckSet set(Lsn(90), Lsn(100));
  EXPECT_EQ(set.confirmable(), Lsn(100));
  set.group().recorded(Lsn(200), Lsn(1'000));
  EXPECT_EQ(set.confirmable(), Lsn(100));
  set.group().flushed(Lsn(1'000));
  EXPECT_EQ(set.confirmable(), Lsn(200));
}

TEST(AckSet, WaitsForTheLowestCopyThatHangsOnTheSlot) {
  AckSet set(Lsn(90), Lsn(500));
  set.hold(1, Lsn(120));
  set.hold(2, Lsn(300));
  EXPECT_EQ(set.confirmable(), Lsn(120));
  set.hold(1, Lsn(400));
  EXPECT_EQ(set.confirmable(), Lsn(300));
  set.release(2);
  EXPECT_EQ(set.confirmable(), Lsn(400));
  set.release(1);
  EXPECT_EQ(set.confirmable(), Lsn(500));
}

TEST(AckSet, NeverFalls) {
  AckSet set(Lsn(90), Lsn(500));
  EXPECT_EQ(set.confirmable(), Lsn(500));
  set.hold(1, Lsn(120));
  EXPECT_EQ(set.confirmable(), Lsn(500));
}

TEST(AckSet, KnowsWhatIsGone) {
  AckSet set(Lsn(100), Lsn(100));
  EXPECT_TRUE(set.keeps(Lsn(100)));
  EXPECT_FALSE(set.keeps(Lsn(99)));
  set.group().recorded(Lsn(200), Lsn(1));
  set.group().flushed(Lsn(1));
  set.confirmable();
  EXPECT_FALSE(set.keeps(Lsn(199)));
}

}  // namespace
}  // namespace anabranch
