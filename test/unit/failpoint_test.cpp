#include "sidecar/failpoint.hpp"

#include <gtest/gtest.h>

namespace anabranch {
namespace {

TEST(Failpoint, IsHitWhereAndWhenItWasAsked) {
  ArmedFailpoint once("before_commit");
  EXPECT_FALSE(once.hit("after_commit"));
  EXPECT_TRUE(once.hit("before_commit"));
  EXPECT_FALSE(once.hit("before_commit"));

  ArmedFailpoint third("before_commit:3");
  EXPECT_FALSE(third.hit("before_commit"));
  EXPECT_FALSE(third.hit("before_commit"));
  EXPECT_TRUE(third.hit("before_commit"));

  EXPECT_TRUE(ArmedFailpoint(nullptr).name.empty());
}

TEST(FailpointDeathTest, KillsTheProcess) {
  EXPECT_EXIT(
      {
        armed_failpoint.name = "here";
        failpoint("elsewhere");
        failpoint("here");
      },
      ::testing::KilledBySignal(SIGKILL), "");
}

TEST(Failpoint, UnarmedDoesNothing) {
  failpoint("anywhere");
}

}  // namespace
}  // namespace anabranch
