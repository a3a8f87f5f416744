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

TEST(Verdict, TellsWhatMayPass) {
  for (const char* state : {"57P01", "53100", "40P01", "55P03"})
    EXPECT_TRUE(may_pass(verdict(PgError(state, "m")))) << state;
  for (const char* state : {"AN001", "AN003", "22012", "42P01"})
    EXPECT_FALSE(may_pass(verdict(PgError(state, "m")))) << state;
}

TEST(Verdict, WordsAnErrorWithWhatItHas) {
  EXPECT_EQ(in_words(PgError("42501", "no right")), "no right");
  EXPECT_EQ(in_words(PgError("42501", "no right", "", "Ask for it.")), "no right. Ask for it.");
  EXPECT_EQ(in_words(PgError("42501", "no right", "It is a table.", "Ask for it.")),
            "no right. It is a table. Ask for it.");
}

}  // namespace
}  // namespace anabranch
