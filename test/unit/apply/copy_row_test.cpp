#include <gtest/gtest.h>

#include "sidecar/apply/session.hpp"

namespace anabranch {
namespace {

CopyRow copy_of(bool rows_class) {
  CopyRow row;
  row.oid = 7;
  row.rows_class = rows_class;
  CopySource source;
  source.columns = {1, 2, 4};
  source.named = {2, 4};
  source.key = {1};
  row.sources.push_back(source);
  return row;
}

using Numbers = std::vector<uint32_t>;

TEST(CopyRow, PlansForLiveGroupsOnlyWhatTheQueryNames) {
  EXPECT_EQ(copy_of(false).plan(Lsn(5)).sources[0].columns, (Numbers{2, 4}));
}

TEST(CopyRow, PlansTheKeyWhileGroupsAreFilled) {
  EXPECT_EQ(copy_of(false).plan(Lsn(5), true).sources[0].columns, (Numbers{1, 2, 4}));
}

TEST(CopyRow, PlansTheKeyOfRows) {
  EXPECT_EQ(copy_of(true).plan(Lsn(5)).sources[0].columns, (Numbers{1, 2, 4}));
}

}  // namespace
}  // namespace anabranch
