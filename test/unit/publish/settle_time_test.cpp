// How long the publisher lets brokers mark partitions before it begins again.
#include "sidecar/publish/settle_time.hpp"

#include <gtest/gtest.h>

namespace anabranch {
namespace {

// Begins `count` transactions with brokers that mark for so long; how many were refused.
int refused(SettleTime& settle, std::chrono::microseconds marking, int count) {
  int refused = 0;
  for (int i = 0; i < count; ++i) {
    const bool too_early = settle.value() < marking;
    settle.begun(too_early);
    refused += too_early;
  }
  return refused;
}

TEST(SettleTimeTest, FindsHowLongBrokersMark) {
  using namespace std::chrono_literals;
  for (const auto marking : {2'000us, 5'000us, 9'000us}) {
    SettleTime settle;
    refused(settle, marking, 2'000);
    EXPECT_GE(settle.value(), marking - 10us);
    EXPECT_LE(settle.value(), marking + 2'000us);
    EXPECT_LE(refused(settle, marking, 2'000), 2'000 / 190);
  }
}

TEST(SettleTimeTest, StaysWithinItsBounds) {
  using namespace std::chrono_literals;
  SettleTime settle;
  EXPECT_EQ(refused(settle, 0us, 1'000), 0);
  EXPECT_EQ(settle.value(), SettleTime::min);
  refused(settle, 1s, 100);
  EXPECT_EQ(settle.value(), SettleTime::max);
}

}  // namespace
}  // namespace anabranch
