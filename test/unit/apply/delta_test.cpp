#include "sidecar/apply/delta.hpp"

#include <gtest/gtest.h>

#include "extension/delta.pb.h"

namespace anabranch {
namespace {

v1::Delta parse(const std::string& bytes) {
  v1::Delta delta;
  EXPECT_TRUE(delta.ParseFromString(bytes));
  return delta;
}

TEST(DeltaWriter, WritesWhatProtobufReads) {
  DeltaWriter writer(true, 1'000);
  writer.add({1, -3, "image", 0});
  writer.add({2, 0, "left out", 0});
  writer.add({300, 1, std::string_view("\0", 1), 1ull << 33});
  writer.add({1, 1, "", 0});
  EXPECT_EQ(writer.rows(), 3u);
  const auto deltas = writer.finish();
  ASSERT_EQ(deltas.size(), 1u);
  const v1::Delta delta = parse(deltas[0]);
  EXPECT_TRUE(delta.truncate());
  ASSERT_EQ(delta.rows_size(), 3);
  EXPECT_EQ(delta.rows(0).source(), 1u);
  EXPECT_EQ(delta.rows(0).weight(), -3);
  EXPECT_EQ(delta.rows(0).row(), "image");
  EXPECT_EQ(delta.rows(0).xid(), 0u);
  EXPECT_EQ(delta.rows(1).source(), 300u);
  EXPECT_EQ(delta.rows(1).row(), std::string("\0", 1));
  EXPECT_EQ(delta.rows(1).xid(), 1ull << 33);
  EXPECT_EQ(delta.rows(2).row(), "");
}

TEST(DeltaWriter, IsSilentAboutNothing) {
  EXPECT_TRUE(DeltaWriter(false, 100).finish().empty());
  const auto truncate = DeltaWriter(true, 100).finish();
  ASSERT_EQ(truncate.size(), 1u);
  EXPECT_TRUE(parse(truncate[0]).truncate());
}

TEST(DeltaWriter, KeepsItsBound) {
  for (const size_t bound : {1, 10, 50, 51, 52, 1'000}) {
    DeltaWriter writer(true, bound);
    for (int i = 0; i < 100; ++i) writer.add({1, 1, std::string(i % 40, 'x'), 0});
    const auto deltas = writer.finish();
    int rows = 0;
    for (size_t i = 0; i < deltas.size(); ++i) {
      const v1::Delta delta = parse(deltas[i]);
      EXPECT_EQ(delta.truncate(), i == 0);
      EXPECT_TRUE(deltas[i].size() <= bound || delta.rows_size() <= 1);
      for (const v1::Row& row : delta.rows()) EXPECT_EQ(row.row().size(), static_cast<size_t>(rows++ % 40));
    }
    EXPECT_EQ(rows, 100);
  }
}

TEST(DeltaWriter, SplitsWeightsThatDoNotFit) {
  DeltaWriter writer(false, 1'000);
  writer.add({1, -5'000'000'000, "x", 0});
  const auto deltas = writer.finish();
  int64_t sum = 0;
  const v1::Delta delta = parse(deltas.at(0));
  for (const v1::Row& row : delta.rows()) sum += row.weight();
  EXPECT_EQ(sum, -5'000'000'000);
}

}  // namespace
}  // namespace anabranch
