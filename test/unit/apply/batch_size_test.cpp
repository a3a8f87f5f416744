#include "sidecar/apply/batch_size.hpp"

#include <gtest/gtest.h>

namespace anabranch {
namespace {

using namespace std::chrono_literals;

BatchSizer::Sample by_time(std::size_t rows, BatchSizer::Duration busy, BatchSizer::Duration elapsed) {
  return {rows, busy, elapsed, false};
}
BatchSizer::Sample by_rows(std::size_t rows, BatchSizer::Duration busy) {
  return {rows, busy, busy, true};
}

TEST(BatchSizer, BeginsWithTheShortestInterval) {
  const BatchSizer sizer({});
  EXPECT_EQ(sizer.interval(), 1ms);
  EXPECT_EQ(sizer.cost_ratio(), 1);
}

TEST(BatchSizer, StaysShortAtLowLoad) {
  BatchSizer sizer({});
  for (int i = 0; i < 100; ++i) sizer.record(by_time(3, 600us, 100ms));
  EXPECT_EQ(sizer.interval(), 1ms);
}

TEST(BatchSizer, GathersLongerWhileApplyingTakesMostOfTheTime) {
  BatchSizer sizer({});
  for (int i = 0; i < 100; ++i) sizer.record(by_time(50, 10ms, 11ms));
  EXPECT_EQ(sizer.interval(), 1s);
}

TEST(BatchSizer, FindsAnIntervalThatTheBatchesFitInto) {
  BatchSizer sizer({});
  // A batch costs 2 ms whatever is in it.
  for (int i = 0; i < 100; ++i) sizer.record(by_time(50, 2ms, std::max<BatchSizer::Duration>(2ms, sizer.interval())));
  EXPECT_GE(sizer.interval(), 4ms);
  EXPECT_LE(sizer.interval(), 8ms);
}

TEST(BatchSizer, ComesBackWhenTheLoadIsGone) {
  BatchSizer sizer({});
  for (int i = 0; i < 100; ++i) sizer.record(by_time(50, 10ms, 11ms));
  for (int i = 0; i < 40; ++i) sizer.record(by_time(50, 1ms, 1s));
  EXPECT_EQ(sizer.interval(), 1ms);
}

TEST(BatchSizer, GrowsBatchesOfABacklogUntilTheyTakeAQuarterOfTheInterval) {
  BatchSizer sizer({});
  // 5 microseconds a row: 250 ms are 50,000 rows.
  for (int i = 0; i < 100; ++i) sizer.record(by_rows(sizer.rows(), BatchSizer::Duration(5 * sizer.rows())));
  EXPECT_GE(sizer.rows(), 50'000u);
  EXPECT_LE(sizer.rows(), 75'000u);
}

TEST(BatchSizer, GrowsBatchesWhenRowsBecomeDear) {
  BatchSizer sizer({});
  for (int i = 0; i < 20; ++i) sizer.record(by_rows(sizer.rows(), BatchSizer::Duration(5 * sizer.rows())));
  // A held snapshot: every batch costs 2 s more.
  for (int i = 0; i < 20; ++i) sizer.record(by_rows(sizer.rows(), 2s + BatchSizer::Duration(5 * sizer.rows())));
  EXPECT_EQ(sizer.rows(), 200'000u);
  EXPECT_GT(sizer.cost_ratio(), 1.25);
}

TEST(BatchSizer, ShrinksBatchesThatTakeTooLongThoughRowsCostTheSame) {
  BatchSizer sizer({});
  for (int i = 0; i < 50; ++i) sizer.record(by_rows(sizer.rows(), BatchSizer::Duration(200 * sizer.rows())));
  EXPECT_LE(sizer.rows(), 10'000u);
  EXPECT_GE(sizer.rows(), 1'000u);
}

TEST(BatchSizer, SmallBatchesSayNothingAboutTheCostOfARow) {
  BatchSizer sizer({});
  sizer.record(by_time(1, 1us, 1s));
  sizer.record(by_time(5'000, 25ms, 1s));
  EXPECT_EQ(sizer.cost_ratio(), 1);
}

TEST(BatchSizer, TakesAnEmptyBatch) {
  BatchSizer sizer({});
  sizer.record(by_time(0, 0us, 0us));
  sizer.record(by_rows(0, 0us));
  EXPECT_EQ(sizer.interval(), 1ms);
}

TEST(BatchSizer, KeepsToReloadedLimits) {
  BatchSizer sizer({});
  for (int i = 0; i < 100; ++i) sizer.record(by_time(50, 10ms, 11ms));
  sizer.set_limits({.interval_max = 100ms, .rows_max = 5'000});
  EXPECT_EQ(sizer.interval(), 100ms);
  EXPECT_EQ(sizer.rows(), 5'000u);
  sizer.set_limits({.interval_min = 2ms, .interval_max = 1ms, .rows_min = 10, .rows_max = 1});
  EXPECT_EQ(sizer.interval(), 2ms);
  EXPECT_EQ(sizer.rows(), 10u);
}

}  // namespace
}  // namespace anabranch
