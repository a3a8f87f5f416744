#include "sidecar/pg/snapshot.hpp"

#include <stdexcept>

#include <gtest/gtest.h>

namespace anabranch {
namespace {

TEST(Snapshot, ShowsWhatHadCommitted) {
  const Snapshot snapshot = Snapshot::parse("10:20:12,15,19");
  for (const uint64_t xid : {0, 1, 9, 10, 11, 13, 14, 16, 18}) EXPECT_TRUE(snapshot.visible(xid)) << xid;
  for (const uint64_t xid : {12, 15, 19, 20, 21, 1000}) EXPECT_FALSE(snapshot.visible(xid)) << xid;
}

TEST(Snapshot, KnowsEpochs) {
  const Snapshot snapshot = Snapshot::parse("4294967300:4294967310:4294967305");
  EXPECT_TRUE(snapshot.visible(4));
  EXPECT_TRUE(snapshot.visible(4294967304));
  EXPECT_FALSE(snapshot.visible(4294967305));
  EXPECT_FALSE(snapshot.visible(4294967310));
}

TEST(Snapshot, ComesBackAsItWas) {
  for (const char* text :
       {"10:10:", "10:20:", "10:20:10", "10:20:10,11,19", "9223372036854775807:9223372036854775808:"})
    EXPECT_EQ(Snapshot::parse(text).to_string(), text);
}

TEST(Snapshot, RefusesWhatIsNone) {
  for (const char* text : {"",          "10",           "10:",         "10:20",
                           ":20:",      "10::",         "0:20:",       "20:10:",
                           "10:20:9",   "10:20:20",     "10:20:15,12", "10:20:12,",
                           "10:20:,12", "10:20:12,,13", "10:20:12:13", "10:20:a",
                           " 10:20:",   "10:20: ",      "-1:20:",      "10:99999999999999999999:"})
    EXPECT_THROW(Snapshot::parse(text), std::invalid_argument) << text;
}

}  // namespace
}  // namespace anabranch
