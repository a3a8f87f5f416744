// What status makes of what it sees, and how it shows that.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <sstream>

#include "sidecar/cli/status_judge.hpp"
#include "sidecar/cli/status_screen.hpp"

namespace anabranch {
namespace {

using std::chrono::hours;
using std::chrono::minutes;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;

constexpr int64_t limit = int64_t{20} << 30;

CopyStatus copy(const std::string& name, const std::string& state) {
  CopyStatus copy;
  copy.name = name;
  copy.owner = "app";
  copy.state = state;
  if (state == "failed") copy.severity = Severity::critical;
  copy.copy_class = "linear";
  copy.lag_bytes = 0;
  return copy;
}

StatusFacts healthy() {
  StatusFacts facts;
  facts.server = "host=db1 port=5432 dbname=shop user=app";
  facts.database = "shop";
  facts.time = "2026-01-31 12:00:00 UTC";
  facts.extension_version = ANABRANCH_VERSION;
  SourceStatus source;
  source.name = "home";
  source.slot = "anabranch_shop";
  source.publication = "anabranch";
  source.applied = Lsn(0x200);
  source.confirmed = Lsn(0x100);
  source.wal_status = "reserved";
  source.kept_wal_bytes = 48 << 20;
  source.slot_active = true;
  source.sidecar_running = true;
  source.seen_age = milliseconds(300);
  source.lag = milliseconds(0);
  source.running_for = hours(50);
  source.sidecar_host = "app1";
  source.sidecar_pid = 4242;
  source.sidecar_version = ANABRANCH_VERSION;
  facts.source = source;
  facts.copies = {copy("public.user_activity", "live")};
  return facts;
}

// The worst finding of what `change` makes of a healthy state.
template <typename Change>
Finding after(Change change) {
  auto facts = healthy();
  change(facts);
  const auto findings = judge(facts, limit);
  if (findings.empty()) return {Severity::ok, "", "", ""};
  EXPECT_EQ(findings.back().severity, worst(findings));
  EXPECT_FALSE(findings.back().remedy.empty());
  return findings.back();
}

TEST(StatusJudge, AllIsWell) {
  EXPECT_THAT(judge(healthy(), limit), IsEmpty());
}

TEST(StatusJudge, VersionsThatDiffer) {
  EXPECT_EQ(after([](auto& facts) { facts.source->sidecar_version = "0.0.1"; }).severity, Severity::warning);
  EXPECT_EQ(after([](auto& facts) {
              facts.source->sidecar_running = false;
              facts.source->sidecar_version = "0.0.1";
            }).severity,
            Severity::ok)
      << "of one that does not run nobody asks";
  EXPECT_EQ(after([](auto& facts) { facts.extension_version = "0.0.1"; }).severity, Severity::warning);
  EXPECT_EQ(after([](auto& facts) { facts.extension_version.clear(); }).severity, Severity::unknown);
}

TEST(StatusJudge, TheWalThatIsKept) {
  EXPECT_EQ(after([](auto& facts) { facts.source->kept_wal_bytes = limit / 2 - 1; }).severity, Severity::ok);
  EXPECT_EQ(after([](auto& facts) { facts.source->kept_wal_bytes = limit / 2; }).severity, Severity::warning);
  EXPECT_EQ(after([](auto& facts) { facts.source->kept_wal_bytes = limit; }).severity, Severity::critical);
  // The server's own bound may be nearer.
  const auto found = after([](auto& facts) {
    facts.source->kept_wal_bytes = int64_t{95} << 20;
    facts.source->wal_left_bytes = int64_t{5} << 20;
  });
  EXPECT_EQ(found.severity, Severity::critical);
  EXPECT_THAT(found.text, HasSubstr("95 % of what it may (100 MB)"));
  // A standby has no say in it, and of a slot that is going there is worse to say.
  EXPECT_EQ(after([](auto& facts) {
              facts.source->kept_wal_bytes = limit;
              facts.in_recovery = true;
            }).severity,
            Severity::ok);
  EXPECT_EQ(after([](auto& facts) {
              facts.source->kept_wal_bytes = limit;
              facts.source->wal_status = "unreserved";
            }).severity,
            Severity::ok);
}

TEST(StatusJudge, TheExtensionsJudgementCountsAndTheWorstStandsLast) {
  auto facts = healthy();
  facts.findings = {{Severity::warning, "b", "paused on request", "resume"},
                    {Severity::critical, "a", "failed", "mend"}};
  facts.source->sidecar_version = "0.0.1";
  const auto findings = judge(facts, limit);
  ASSERT_EQ(findings.size(), 3u);
  EXPECT_EQ(findings.back().subject, "a");
  EXPECT_EQ(findings.back().severity, Severity::critical);
}

size_t characters(const std::string& line) {
  return static_cast<size_t>(std::count_if(line.begin(), line.end(), [](char c) { return (c & 0xc0) != 0x80; }));
}

TEST(StatusScreen, StaysWithinItsColumns) {
  auto facts = healthy();
  facts.server = "host=" + std::string(200, 'x');
  facts.source->sidecar_host = "evil\n\x1b[2Jhost" + std::string(100, 'y');
  facts.source->lag_bytes = int64_t{900} << 40;
  facts.source->wal_left_bytes = int64_t{900} << 40;
  auto filling = copy("\"" + std::string(60, 'n') + "\".\"\xf0\x9f\x98\x80\n" + std::string(60, 'm') + "\"", "filling");
  filling.fill_rows = 1'234'567'890'123;
  filling.fill_rows_total = 9'234'567'890'123;
  filling.fill_rows_per_second = 123456.7;
  filling.fill_time_left = hours(100);
  auto failed = copy("public.failed", "failed");
  for (int i = 0; i < 100; ++i) failed.reason += "some words ";
  facts.copies = {filling, failed};
  for (int i = 0; i < 100; ++i) facts.copies.push_back(copy("public.c" + std::to_string(i), "live"));
  const auto screen = status_screen(facts, Rates{123456, 789}, judge(facts, limit));
  std::istringstream lines(screen);
  size_t count = 0;
  for (std::string line; std::getline(lines, line); ++count) EXPECT_LE(characters(line), screen_columns) << line;
  EXPECT_LT(count, 80u);
  EXPECT_THAT(screen, Not(HasSubstr("\x1b")));
  EXPECT_THAT(screen, HasSubstr("123,456 rows/s, 789 transactions/s"));
  EXPECT_THAT(screen, HasSubstr("more that are live"));
  EXPECT_THAT(screen, HasSubstr("public.failed"));
}

TEST(StatusScreen, SaysOkWhereAllIsWell) {
  EXPECT_THAT(status_screen(healthy(), std::nullopt, {}), testing::EndsWith("\nok\n"));
}

TEST(StatusScreen, ShowsWhatIsPublished) {
  auto facts = healthy();
  PublisherStatus publisher;
  publisher.source = "home";
  publisher.prefix = "shop";
  publisher.cluster_id = "XKUDdRUkcMnwARTJtqfa2g";
  publisher.state = "publishing";
  publisher.running = true;
  publisher.published = Lsn(0x1234);
  publisher.lag_bytes = 48 << 20;
  publisher.records = 12'345;
  publisher.transactions = 678;
  publisher.host = "app1";
  publisher.pid = 77;
  facts.publishers = {publisher};
  auto screen = status_screen(facts, std::nullopt, {});
  EXPECT_THAT(screen, HasSubstr("publishing: topics shop.* in cluster XKUDdRUkcMnwARTJtqfa2g"));
  EXPECT_THAT(screen, HasSubstr("published 0/1234, 48 MB behind; 12,345 records in 678 transactions"));
  EXPECT_THAT(screen, Not(HasSubstr("dead letter")));
  facts.publishers[0].running = false;
  facts.publishers[0].dead_letters = 2;
  facts.publishers[0].seen_age = minutes(3);
  screen = status_screen(facts, std::nullopt, {});
  EXPECT_THAT(screen, HasSubstr("stopped: topics shop.*"));
  EXPECT_THAT(screen, HasSubstr("last seen 3 min ago on app1, process 77"));
  EXPECT_THAT(screen, HasSubstr("2 dead letters"));
  const auto json = nlohmann::json::parse(status_json(facts, std::nullopt, {}));
  EXPECT_EQ(json["publishers"][0]["published_lsn"], "0/1234");
  EXPECT_EQ(json["publishers"][0]["seen_ms_ago"], 180'000);
}

TEST(StatusJson, HoldsWhatTheScreenShows) {
  auto facts = healthy();
  auto failed = copy("public.x", "failed");
  failed.reason = "bytes that are no UTF-8: \xff";
  facts.copies.push_back(failed);
  facts.findings = {{Severity::critical, failed.name, failed.reason, "mend it"}};
  facts.holder = {"process 12", minutes(2), "", "SELECT 1"};
  const auto text = status_json(facts, Rates{10, 1}, judge(facts, limit));
  const auto json = nlohmann::json::parse(text);
  EXPECT_EQ(json["severity"], "critical");
  EXPECT_EQ(json["exit_code"], 2);
  EXPECT_EQ(json["source"]["lag_ms"], 0);
  EXPECT_EQ(json["source"]["rows_per_second"], 10);
  EXPECT_EQ(json["source"]["wal_left_bytes"], nullptr);
  EXPECT_EQ(json["copies"].size(), 2u);
  EXPECT_EQ(json["snapshot_holder"]["age_ms"], 120'000);
  EXPECT_EQ(json["findings"].back()["subject"], "public.x");
  const auto nothing = nlohmann::json::parse(status_json(StatusFacts{}, std::nullopt, {}));
  EXPECT_EQ(nothing["source"], nullptr);
}

TEST(StatusScreen, IndexesStandBelowCopies) {
  auto facts = healthy();
  EXPECT_THAT(status_screen(facts, std::nullopt, {}), Not(HasSubstr("index ")));
  IndexStatus filling;
  filling.name = "public.user_info";
  filling.state = "filling";
  filling.swept = 1200;
  filling.documents_all = 5000;
  IndexStatus ill = filling;
  ill.name = "public.orders_found";
  ill.state = "live";
  ill.severity = Severity::critical;
  ill.lag_bytes = 3 << 20;
  facts.indexes = {filling, ill};
  const auto screen = status_screen(facts, std::nullopt, {});
  EXPECT_THAT(screen, HasSubstr("1,200 of ~5,000"));
  EXPECT_THAT(screen, HasSubstr("see below"));
  EXPECT_LT(screen.find("public.user_activity"), screen.find("public.user_info"));
  const auto json = nlohmann::json::parse(status_json(facts, std::nullopt, {}));
  EXPECT_EQ(json["indexes"][1]["severity"], "critical");
  EXPECT_EQ(json["indexes"][0]["swept"], 1200);
}

}  // namespace
}  // namespace anabranch
