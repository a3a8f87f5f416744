#include "sidecar/index/tombstones.hpp"

#include <gtest/gtest.h>

namespace anabranch {
namespace {

using namespace std::chrono_literals;

TEST(Tombstones, OnlyWhatIsOlderThanAnHourMayGo) {
  TombstonePurge purge;
  const TombstonePurge::Clock::time_point start{};
  EXPECT_EQ(purge.due(start), std::nullopt) << "nothing is known yet";
  for (int minute = 0; minute < 200; ++minute)
    purge.written(1'000 + static_cast<IndexVersion>(minute), start + minute * 1min);
  EXPECT_EQ(purge.due(start + 59min), std::nullopt);
  EXPECT_EQ(purge.due(start + 60min), 1'000U);
  EXPECT_EQ(purge.due(start + 69min), std::nullopt) << "not that often";
  EXPECT_EQ(purge.due(start + 70min), 1'010U);
  EXPECT_EQ(purge.due(start + 500min), 1'199U);
  EXPECT_EQ(purge.due(start + 600min), std::nullopt) << "nothing has been written since";
}

TEST(Tombstones, OneVersionAMinuteIsRemembered) {
  TombstonePurge purge;
  const TombstonePurge::Clock::time_point start{};
  for (int second = 0; second < 60; ++second) purge.written(static_cast<IndexVersion>(second + 1), start + second * 1s);
  EXPECT_EQ(purge.due(start + 2h), 1U) << "the lowest";
}

TEST(Tombstones, AreFoundByTheirVersion) {
  EXPECT_EQ(tombstones_before(7), nlohmann::json::parse(R"({"range":{"anabranch.deleted":{"lt":7}}})"));
  EXPECT_EQ(no_tombstones(),
            nlohmann::json::parse(R"({"bool":{"must_not":{"exists":{"field":"anabranch.deleted"}}}})"));
}

}  // namespace
}  // namespace anabranch
