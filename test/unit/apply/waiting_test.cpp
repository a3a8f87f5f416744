#include "sidecar/apply/waiting.hpp"

#include <gtest/gtest.h>

namespace anabranch {
namespace {

using namespace std::chrono_literals;

TEST(Waiting, IsToldWhenItHasLasted) {
  const Waiting::Clock::time_point start{};
  Waiting waiting(10s);
  EXPECT_FALSE(waiting.text(start));
  waiting.begin("something", start);
  EXPECT_FALSE(waiting.text(start + 9s));
  EXPECT_EQ(waiting.text(start + 12s), "something, for 12 s");
}

TEST(Waiting, GoesOnWithTheTimeWaited) {
  const Waiting::Clock::time_point start{};
  Waiting waiting(10s);
  waiting.begin("one thing", start);
  waiting.begin("another", start + 8s);
  EXPECT_EQ(waiting.text(start + 11s), "another, for 11 s");
}

TEST(Waiting, BeginsAnewAfterItsEnd) {
  const Waiting::Clock::time_point start{};
  Waiting waiting(10s);
  waiting.begin("something", start);
  waiting.end();
  EXPECT_FALSE(waiting.text(start + 20s));
  waiting.begin("something", start + 20s);
  EXPECT_FALSE(waiting.text(start + 29s));
}

}  // namespace
}  // namespace anabranch
