#include "sidecar/pg/epoch.hpp"
#include "sidecar/publish/iso_time.hpp"

#include <gtest/gtest.h>

#include <chrono>
#include <cstdio>
#include <limits>
#include <random>

namespace anabranch {
namespace {

std::string date(int32_t days) {
  std::string out;
  append_date(out, days);
  return out;
}

std::string timestamp(int64_t micros, std::string_view zone = "") {
  std::string out;
  append_timestamp(out, micros, zone);
  return out;
}

std::string time(int64_t micros) {
  std::string out;
  append_time(out, micros);
  return out;
}

std::string of_text(std::string_view text) {
  std::string out;
  append_iso_of_text(out, text);
  return out;
}

TEST(IsoTime, Dates) {
  EXPECT_EQ(date(0), "2000-01-01");
  EXPECT_EQ(date(-1), "1999-12-31");
  EXPECT_EQ(date(9'821), "2026-11-21");
  EXPECT_EQ(date(59), "2000-02-29");
  EXPECT_EQ(date(-730'119), "0001-01-01");
  EXPECT_EQ(date(-730'120), "0000-12-31");     // 1 BC
  EXPECT_EQ(date(-2'451'545), "-4713-11-24");  // the first day PostgreSQL knows: 4714-11-24 BC
  EXPECT_EQ(date(2'921'940), "+10000-01-01");
  EXPECT_EQ(date(2'145'031'948), "+5874897-12-31");  // the last
  EXPECT_EQ(date(std::numeric_limits<int32_t>::max()), "infinity");
  EXPECT_EQ(date(std::numeric_limits<int32_t>::min()), "-infinity");
}

TEST(IsoTime, Times) {
  EXPECT_EQ(time(0), "00:00:00");
  EXPECT_EQ(time(1), "00:00:00.000001");
  EXPECT_EQ(time(500'000), "00:00:00.5");
  EXPECT_EQ(time(22'050'185'970), "06:07:30.18597");
  EXPECT_EQ(time(86'400'000'000), "24:00:00");
}

TEST(IsoTime, Timestamps) {
  EXPECT_EQ(timestamp(848'556'450'185'973, "Z"), "2026-11-21T06:07:30.185973Z");
  EXPECT_EQ(timestamp(-1), "1999-12-31T23:59:59.999999");
  EXPECT_EQ(timestamp(9'223'371'331'199'999'999), "+294276-12-31T23:59:59.999999");
  EXPECT_EQ(timestamp(-211'813'488'000'000'000), "-4713-11-24T00:00:00");
  EXPECT_EQ(timestamp(std::numeric_limits<int64_t>::max(), "Z"), "infinity");
  EXPECT_EQ(timestamp(std::numeric_limits<int64_t>::min(), "Z"), "-infinity");
}

TEST(IsoTime, TextOfPostgres) {
  EXPECT_EQ(of_text("2026-11-21"), "2026-11-21");
  EXPECT_EQ(of_text("2026-11-21 06:07:30.18"), "2026-11-21T06:07:30.18");
  EXPECT_EQ(of_text("2026-11-21 06:07:30.18+00"), "2026-11-21T06:07:30.18Z");
  EXPECT_EQ(of_text("0001-01-01 BC"), "0000-01-01");
  EXPECT_EQ(of_text("4714-11-24 00:00:00+00 BC"), "-4713-11-24T00:00:00Z");
  EXPECT_EQ(of_text("294276-12-31 23:59:59.999999"), "+294276-12-31T23:59:59.999999");
  EXPECT_EQ(of_text("infinity"), "infinity");
  EXPECT_EQ(of_text("-infinity"), "-infinity");
  EXPECT_EQ(of_text(""), "");
}

// The standard library's calendar is another one than ours.
TEST(IsoTime, AgreesWithTheStandardLibrary) {
  const auto seed = std::random_device()();
  SCOPED_TRACE("seed " + std::to_string(seed));
  std::mt19937 random(seed);
  std::uniform_int_distribution<int32_t> days(-730'119, 2'921'939);
  for (int i = 0; i < 20'000; ++i) {
    const auto day = days(random);
    const std::chrono::year_month_day expected(std::chrono::sys_days(std::chrono::days(day + days_to_postgres_epoch)));
    char text[32];
    std::snprintf(text, sizeof(text), "%04d-%02u-%02u", static_cast<int>(expected.year()),
                  static_cast<unsigned>(expected.month()), static_cast<unsigned>(expected.day()));
    ASSERT_EQ(date(day), text) << day;
  }
}

}  // namespace
}  // namespace anabranch
