#include "sidecar/cli/units.hpp"

#include <gtest/gtest.h>

namespace anabranch {
namespace {

using std::chrono::milliseconds;

TEST(Units, BytesAreCountedAsPostgresqlCountsThem) {
  EXPECT_EQ(parse_bytes("20 GB"), int64_t{20} << 30);
  EXPECT_EQ(parse_bytes("512kB"), 512 * 1024);
  EXPECT_EQ(parse_bytes("1.5 MB"), 3 * 512 * 1024);
  EXPECT_EQ(parse_bytes("0 B"), 0);
  EXPECT_EQ(parse_bytes("8000000 TB"), int64_t{8000000} << 40);
}

TEST(Units, DurationsAreMilliseconds) {
  EXPECT_EQ(parse_duration("1 ms"), milliseconds(1));
  EXPECT_EQ(parse_duration("0.25 s"), milliseconds(250));
  EXPECT_EQ(parse_duration("2min"), milliseconds(120'000));
  EXPECT_EQ(parse_duration("1 d"), milliseconds(86'400'000));
}

TEST(Units, RefusesWhatIsNoAmount) {
  for (const char* text :
       {"", " ", "20", "-1 GB", "GB", "1 gb", "1 XB", "1..5 GB", ".5 GB", "5. GB", "1e9 GB", "0x1 GB", "99999999999 TB",
        "1 GB extra", "1 G B", "1.12345678 GB", "inf GB", "nan GB", "\xff GB"})
    EXPECT_THROW(parse_bytes(text), UnitError) << text;
  for (const char* text : {"1", "1 m", "1 S", "-1 s", "1 hour", "999999999999999999 d"})
    EXPECT_THROW(parse_duration(text), UnitError) << text;
}

TEST(Units, SaysWhyAndHow) {
  try {
    parse_bytes("20");
    FAIL();
  } catch (const UnitError& error) {
    EXPECT_STREQ(error.what(), "it has no unit; write an amount and its unit, as in \"20 GB\"");
  }
}

TEST(Units, BytesAreShownShort) {
  EXPECT_EQ(format_bytes(0), "0 B");
  EXPECT_EQ(format_bytes(999), "999 B");
  EXPECT_EQ(format_bytes(1000), "1.0 kB");
  EXPECT_EQ(format_bytes(int64_t{20} << 30), "20 GB");
  EXPECT_EQ(format_bytes(1536 * 1024), "1.5 MB");
  EXPECT_EQ(format_bytes(-2048), "-2.0 kB");
  for (int64_t bytes = 1; bytes < (int64_t{1} << 49); bytes = bytes * 5 / 4 + 1)
    EXPECT_LE(format_bytes(bytes).size(), 7u) << bytes;
}

TEST(Units, DurationsAreShownShort) {
  EXPECT_EQ(format_duration(milliseconds(0)), "0 ms");
  EXPECT_EQ(format_duration(milliseconds(-5)), "0 ms");
  EXPECT_EQ(format_duration(milliseconds(1500)), "1.5 s");
  EXPECT_EQ(format_duration(milliseconds(12'400)), "12 s");
  EXPECT_EQ(format_duration(milliseconds(3 * 60'000)), "3 min");
  EXPECT_EQ(format_duration(milliseconds(125 * 60'000)), "2 h 05 min");
  EXPECT_EQ(format_duration(milliseconds(76 * 3'600'000LL)), "3 d 04 h");
}

TEST(Units, CountsHaveThousands) {
  EXPECT_EQ(format_count(0), "0");
  EXPECT_EQ(format_count(999), "999");
  EXPECT_EQ(format_count(1'000), "1,000");
  EXPECT_EQ(format_count(-1'234'567), "-1,234,567");
  EXPECT_EQ(format_count(-123), "-123");
}

}  // namespace
}  // namespace anabranch
