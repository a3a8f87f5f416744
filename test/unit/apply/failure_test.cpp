#include "sidecar/apply/failure.hpp"

#include <gtest/gtest.h>

namespace anabranch {
namespace {

Verdict of(const char* sqlstate, bool lost = false) {
  return verdict(PgError(sqlstate, "message", {}, {}, lost));
}

TEST(Verdict, NamesWhoIsToBlame) {
  EXPECT_EQ(of("22012"), Verdict::failed);  // division by zero
  EXPECT_EQ(of("54000"), Verdict::failed);  // index row too large
  EXPECT_EQ(of("42501"), Verdict::failed);
  EXPECT_EQ(of("AN005"), Verdict::failed);
  EXPECT_EQ(of("AN003"), Verdict::stale);
  EXPECT_EQ(of("AN004"), Verdict::stale);
  EXPECT_EQ(of("55P03"), Verdict::locked);
  EXPECT_EQ(of("40001"), Verdict::retry);
  EXPECT_EQ(of("40P01"), Verdict::retry);
  EXPECT_EQ(of("57014"), Verdict::retry);
  EXPECT_EQ(of("53100"), Verdict::reconnect);  // disk full
  EXPECT_EQ(of("58030"), Verdict::reconnect);
  EXPECT_EQ(of("57P01"), Verdict::reconnect);
  EXPECT_EQ(of("08006"), Verdict::reconnect);
  EXPECT_EQ(of("XX000", true), Verdict::reconnect);
  EXPECT_EQ(of("AN001"), Verdict::fenced);
}

}  // namespace
}  // namespace anabranch
