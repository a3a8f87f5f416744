#include "sidecar/cli/finding.hpp"

#include <gtest/gtest.h>

namespace anabranch {
namespace {

TEST(Finding, ExitCodesStay) {
  EXPECT_EQ(static_cast<int>(Severity::ok), 0);
  EXPECT_EQ(static_cast<int>(Severity::warning), 1);
  EXPECT_EQ(static_cast<int>(Severity::critical), 2);
  EXPECT_EQ(static_cast<int>(Severity::unknown), 3);
}

TEST(Finding, TheWorstIsFound) {
  const auto of = [](std::initializer_list<Severity> severities) {
    std::vector<Finding> findings;
    for (const auto severity : severities) findings.push_back({severity, "", "", ""});
    return worst(findings);
  };
  EXPECT_EQ(of({}), Severity::ok);
  EXPECT_EQ(of({Severity::warning, Severity::ok}), Severity::warning);
  EXPECT_EQ(of({Severity::unknown, Severity::warning}), Severity::unknown);
  EXPECT_EQ(of({Severity::unknown, Severity::critical}), Severity::critical);
}

TEST(Finding, TextIsWrappedAtBlanks) {
  EXPECT_EQ(wrap("one two three", 2, 9), "  one two\n  three\n");
  EXPECT_EQ(wrap("first\nsecond", 1, 80), " first\n second\n");
  EXPECT_EQ(wrap("", 2, 9), "  \n");
  EXPECT_EQ(wrap("unbreakable", 2, 5), "  unbreakable\n");
  EXPECT_EQ(wrap("\xc3\xa4\xc3\xa4 \xc3\xa4\xc3\xa4", 0, 5), "\xc3\xa4\xc3\xa4 \xc3\xa4\xc3\xa4\n");
}

TEST(Finding, LinesHaveColumns) {
  EXPECT_EQ(format_finding({Severity::critical, "slot", "is gone", "make it anew"}),
            "critical  slot                      is gone\n"
            "                                    -> make it anew\n");
  EXPECT_EQ(format_finding({Severity::ok, "wal_level", "is logical", ""}, "done"),
            "done      wal_level                 is logical\n");
  EXPECT_EQ(format_finding({Severity::ok, "a subject of more than 26 characters", "text", ""}),
            "ok        a subject of more than 26 characters\n"
            "                                    text\n");
}

}  // namespace
}  // namespace anabranch
