#include "sidecar/cli/verify_screen.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace anabranch {
namespace {

using testing::HasSubstr;
using testing::Not;

VerifyRun ended(const std::string& state, std::optional<int64_t> differing, std::optional<int64_t> left_over) {
  VerifyRun run;
  run.run = 7;
  run.copy = "public.totals";
  run.state = state;
  run.differing = differing;
  run.left_over = left_over;
  return run;
}

TEST(VerifyScreen, WhatWasComparedCountsAndNothingElse) {
  EXPECT_EQ(exit_of(ended("done", 0, 0)), VerifyExit::equal);
  EXPECT_EQ(exit_of(ended("done", 3, 0)), VerifyExit::equal);
  EXPECT_EQ(exit_of(ended("done", 3, 1)), VerifyExit::differs);
  // Too many to repair, or cancelled behind the comparison: they differ.
  EXPECT_EQ(exit_of(ended("failed", 3, 3)), VerifyExit::differs);
  EXPECT_EQ(exit_of(ended("cancelled", 3, 3)), VerifyExit::differs);
  EXPECT_EQ(exit_of(ended("failed", std::nullopt, std::nullopt)), VerifyExit::unproved);
  EXPECT_EQ(exit_of(ended("cancelled", 0, 0)), VerifyExit::unproved);
  EXPECT_EQ(exit_of(ended("done", std::nullopt, std::nullopt)), VerifyExit::unproved);
  EXPECT_EQ(exit_of(ended("running", 0, 0)), VerifyExit::unknown);
}

TEST(VerifyScreen, ADifferenceOutweighsWhatIsNotKnown) {
  EXPECT_EQ(worse(VerifyExit::differs, VerifyExit::unproved), VerifyExit::differs);
  EXPECT_EQ(worse(VerifyExit::unknown, VerifyExit::differs), VerifyExit::differs);
  EXPECT_EQ(worse(VerifyExit::unproved, VerifyExit::unknown), VerifyExit::unproved);
  EXPECT_EQ(worse(VerifyExit::equal, VerifyExit::unknown), VerifyExit::unknown);
  EXPECT_EQ(worse(VerifyExit::equal, VerifyExit::equal), VerifyExit::equal);
}

TEST(VerifyScreen, ALineTellsHowFarARunIs) {
  auto run = ended("queued", std::nullopt, std::nullopt);
  run.chunks_total = 1;
  EXPECT_EQ(progress_line(run), "run 7  public.totals  queued");
  run.state = "running";
  run.chunks_done = 3;
  run.chunks_total = 1200;
  run.seconds_left = 12.4;
  run.waiting = "the copies are\ttoo far behind";
  EXPECT_EQ(progress_line(run),
            "run 7  public.totals  running, 3 of 1,200 chunks, 12 s left, waits: the copies are\\x09too far behind");
  run.keys_compared = 4711;
  run.keys_per_second = 1000.4;
  EXPECT_THAT(progress_line(run), HasSubstr("4,711 keys compared, 1,000 keys/s"));
}

TEST(VerifyScreen, AReportHasDifferencesAndTheRemedy) {
  auto run = ended("done", 12, 12);
  run.verdict = "12 of 100 keys differ from the definition at LSN 0/1";
  const std::vector<VerifyDifference> two = {{"wrong", R"({"part": 1})", R"({"n": 2})", R"({"n": 3})", ""},
                                             {"extra", R"({"part": 2})", "", R"({"n": 3})", "repaired"}};
  const auto report = verify_report(run, two);
  EXPECT_THAT(report, HasSubstr("differs"));
  EXPECT_THAT(report, HasSubstr("run 7: 12 of 100 keys differ"));
  EXPECT_THAT(report, HasSubstr(R"(wrong {"part": 1}, should be {"n": 2}, is {"n": 3})"));
  EXPECT_THAT(report, HasSubstr(R"(extra {"part": 2}, is {"n": 3} (repaired))"));
  EXPECT_THAT(report, HasSubstr("and 10 more: SELECT * FROM anabranch.differences WHERE run = 7"));
  EXPECT_THAT(report, HasSubstr("anabranch verify public.totals --repair"));
  EXPECT_THAT(verify_report(run, {}), HasSubstr("those who may read the copy"));
  EXPECT_THAT(verify_report(ended("done", 0, 0), {}), Not(HasSubstr("->")));
  EXPECT_THAT(verify_report(ended("done", 2, 0), two), HasSubstr("repaired"));
}

TEST(VerifyScreen, LongRowsAreCutBetweenCharacters) {
  std::string letters = "{\"a\": \"";
  for (int i = 0; i < 200; ++i) letters += "ä";
  const auto report = verify_report(ended("done", 1, 1), {{"wrong", letters, "", "", ""}});
  EXPECT_THAT(report, HasSubstr("ä..."));
  EXPECT_THAT(report, Not(HasSubstr("\\x")));
}

}  // namespace
}  // namespace anabranch
