#include "sidecar/pg/lsn.hpp"

#include <gtest/gtest.h>

namespace anabranch {
namespace {

TEST(Lsn, PrintsAndParsesAsPgLsnDoes) {
  for (const uint64_t value :
       {uint64_t{0}, uint64_t{1}, uint64_t{0xFFFFFFFF}, uint64_t{0x100000000}, uint64_t{0x16B374D848}, ~uint64_t{0}})
    EXPECT_EQ(Lsn::parse(Lsn(value).to_string()), Lsn(value));
  EXPECT_EQ(Lsn(0x16B374D848).to_string(), "16/B374D848");
  EXPECT_EQ(Lsn().to_string(), "0/0");
  EXPECT_EQ(Lsn::parse("0000016/b374d848"), Lsn(0x16B374D848));
}

TEST(Lsn, RefusesWhatIsNone) {
  for (const char* text : {"", "/", "0", "0/", "/0", "0/0/0", " 0/0", "0/0 ", "+1/0", "-1/0", "0x1/0", "g/0",
                           "0/000000000", "123456789/0", "0\n/0"})
    EXPECT_EQ(Lsn::parse(text), std::nullopt) << text;
}

TEST(Lsn, IsOrderedAndKnowsNoPosition) {
  EXPECT_LT(Lsn(0xFFFFFFFF), Lsn(0x100000000));
  EXPECT_FALSE(Lsn().valid());
  EXPECT_TRUE(Lsn(1).valid());
}

}  // namespace
}  // namespace anabranch
