#include "sidecar/apply/projection.hpp"

#include <gtest/gtest.h>

#include "sidecar/log/change_log.hpp"
#include "test/unit/log/stream_builder.hpp"

namespace anabranch {
namespace {

using test::RowBuilder;

std::string project(const std::vector<uint32_t>& columns, const std::string& row) {
  std::string out(row.size(), '\0');
  out.resize(Projection(columns).project(row, out.data()));
  return out;
}

const std::string whole = RowBuilder().integer(1, 10).text(2, "two").integer(5, -5).text(1600, "last");

TEST(Projection, KeepsTheWantedFieldsAsTheyAre) {
  EXPECT_EQ(project({1, 2, 5, 1600}, whole), whole);
  EXPECT_EQ(project({1, 2, 3, 4, 5, 6, 1600}, whole), whole);
  EXPECT_EQ(project({}, whole), "");
  EXPECT_EQ(project({3}, whole), "");
  EXPECT_EQ(project({1}, whole), std::string(RowBuilder().integer(1, 10)));
  EXPECT_EQ(project({1600}, whole), std::string(RowBuilder().text(1600, "last")));
  EXPECT_EQ(project({1, 5}, whole), std::string(RowBuilder().integer(1, 10).integer(5, -5)));
  EXPECT_EQ(project({2, 1600}, whole), std::string(RowBuilder().text(2, "two").text(1600, "last")));
  EXPECT_EQ(project({1}, ""), "");
}

TEST(Projection, PutsFieldsInOrder) {
  const std::string row = RowBuilder().text(1600, "last").integer(5, -5).text(2, "two").integer(1, 10);
  EXPECT_EQ(project({1, 2, 5, 1600}, row), whole);
  EXPECT_EQ(project({2, 5}, row), project({2, 5}, whole));
}

TEST(Projection, FillsTheUnchangedFromBefore) {
  const Projection projection({1, 2, 5});
  const std::string row = RowBuilder().integer(1, 11).integer(5, -5);
  std::string out(row.size() + whole.size(), '\0');
  uint32_t missing = 0;
  const auto size = projection.merge(row, whole, {2, 1600}, out.data(), missing);
  ASSERT_TRUE(size);
  EXPECT_EQ(out.substr(0, *size), std::string(RowBuilder().integer(1, 11).text(2, "two").integer(5, -5)));
  EXPECT_FALSE(projection.merge(row, std::string(RowBuilder().integer(1, 10)), {1600, 2}, out.data(), missing));
  EXPECT_EQ(missing, 2u);
}

TEST(Projection, RefusesWhatIsNoRow) {
  const std::string twice = RowBuilder().integer(1, 1).integer(1, 2);
  EXPECT_THROW(project({1}, twice), LogError);
  for (size_t size = 1; size < whole.size(); ++size) {
    try {
      EXPECT_LE(project({2, 1600}, whole.substr(0, size)).size(), size);
    } catch (const LogError& error) {
      EXPECT_EQ(error.kind(), LogError::Kind::damaged);
    }
  }
}

TEST(Projection, FindsAField) {
  EXPECT_EQ(find_field(whole, 2)->bytes, "two");
  EXPECT_EQ(wire::unzigzag(find_field(whole, 5)->value), -5);
  EXPECT_FALSE(find_field(whole, 3));
  EXPECT_THROW(find_field("\x0a", 3), LogError);
}

}  // namespace
}  // namespace anabranch
