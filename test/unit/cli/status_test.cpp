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
using std::chrono::seconds;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;

constexpr int64_t limit = int64_t{20} << 30;

CopyStatus copy(const std::string& name, const std::string& state) {
  CopyStatus copy;
  copy.name = name;
  copy.owner = "app";
  copy.state = state;
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
  source.current_age = milliseconds(400);
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

TEST(StatusJudge, ALittleWalIsNoLag) {
  auto facts = healthy();
  facts.source->current_age = hours(3);
  EXPECT_EQ(lag_of(*facts.source), milliseconds(0));
  facts.source->lag_bytes = status_bounds::lag_bytes_level;
  EXPECT_EQ(lag_of(*facts.source), milliseconds(hours(3)));
  facts.source->current_age.reset();
  EXPECT_EQ(lag_of(*facts.source), std::nullopt);
}

TEST(StatusJudge, WhatWasCurrentOnceWasCurrentThen) {
  SourceStatus first;
  SourceStatus second;
  EXPECT_EQ(later_of(first, second, milliseconds(500)), std::nullopt);
  second.current_age = hours(3);
  EXPECT_EQ(later_of(first, second, milliseconds(500)), milliseconds(hours(3)));
  first.current_age = milliseconds(100);
  EXPECT_EQ(later_of(first, second, milliseconds(500)), milliseconds(600));
  second.current_age = milliseconds(50);
  EXPECT_EQ(later_of(first, second, milliseconds(500)), milliseconds(50));
}

TEST(StatusJudge, TheSidecar) {
  auto found = after([](auto& facts) { facts.source->sidecar_running = false; });
  EXPECT_EQ(found.severity, Severity::critical);
  EXPECT_THAT(found.remedy, HasSubstr("anabranch run"));
  found = after([](auto& facts) {
    facts.source->sidecar_running = false;
    facts.copies.clear();
  });
  EXPECT_EQ(found.severity, Severity::warning);
  EXPECT_EQ(after([](auto& facts) { facts.source.reset(); }).severity, Severity::critical);
  EXPECT_EQ(after([](auto& facts) { facts.source->slot_active = false; }).severity, Severity::warning);
  EXPECT_EQ(after([](auto& facts) { facts.source->sidecar_version = "0.0.1"; }).severity, Severity::warning);
  EXPECT_EQ(after([](auto& facts) { facts.extension_version = "0.0.1"; }).severity, Severity::warning);
  EXPECT_EQ(after([](auto& facts) { facts.extension_version.clear(); }).severity, Severity::unknown);
}

TEST(StatusJudge, TheSlot) {
  auto found = after([](auto& facts) { facts.source->wal_status = "lost"; });
  EXPECT_EQ(found.severity, Severity::critical);
  EXPECT_THAT(found.remedy, HasSubstr("pg_drop_replication_slot('anabranch_shop')"));
  EXPECT_EQ(after([](auto& facts) { facts.source->wal_status = "unreserved"; }).severity, Severity::critical);
  EXPECT_EQ(after([](auto& facts) { facts.source->wal_status.clear(); }).severity, Severity::critical);
  EXPECT_EQ(after([](auto& facts) { facts.source->confirmed = Lsn(0x201); }).severity, Severity::critical);
  EXPECT_EQ(after([](auto& facts) { facts.source->confirmed = Lsn(0x200); }).severity, Severity::ok);
  EXPECT_EQ(after([](auto& facts) { facts.source->kept_wal_bytes = limit / 2 - 1; }).severity, Severity::ok);
  EXPECT_EQ(after([](auto& facts) { facts.source->kept_wal_bytes = limit / 2; }).severity, Severity::warning);
  EXPECT_EQ(after([](auto& facts) { facts.source->kept_wal_bytes = limit; }).severity, Severity::critical);
  // The server's own bound may be nearer.
  found = after([](auto& facts) {
    facts.source->kept_wal_bytes = int64_t{95} << 20;
    facts.source->wal_left_bytes = int64_t{5} << 20;
  });
  EXPECT_EQ(found.severity, Severity::critical);
  EXPECT_THAT(found.text, HasSubstr("95 % of what it may (100 MB)"));
  // A standby has no say in it.
  EXPECT_EQ(after([](auto& facts) {
              facts.in_recovery = true;
              facts.source->wal_status.clear();
              facts.source->confirmed.reset();
              facts.source->slot_active = false;
            }).severity,
            Severity::ok);
}

TEST(StatusJudge, TheLag) {
  const auto behind = [](milliseconds age) {
    return after([age](auto& facts) {
      facts.source->lag_bytes = 100 << 20;
      facts.source->current_age = age;
    });
  };
  EXPECT_EQ(behind(seconds(29)).severity, Severity::ok);
  EXPECT_EQ(behind(seconds(30)).severity, Severity::warning);
  EXPECT_EQ(behind(minutes(10)).severity, Severity::critical);
  EXPECT_THAT(behind(seconds(45)).text, HasSubstr("45 s behind (100 MB of WAL)"));
}

TEST(StatusJudge, WhoHoldsBack) {
  auto found = after([](auto& facts) {
    facts.holder = {"process 12 of role app (psql)", minutes(20), "SELECT\n1", "SELECT pg_terminate_backend(12)"};
  });
  EXPECT_EQ(found.severity, Severity::warning);
  EXPECT_THAT(found.text, HasSubstr("process 12 of role app (psql) has held a snapshot for 20 min"));
  EXPECT_THAT(found.text, HasSubstr("SELECT\\x0a1"));
  EXPECT_THAT(found.remedy, HasSubstr("pg_terminate_backend(12)"));
  found = after([](auto& facts) { facts.prepared = {{"it's", "app", hours(2)}}; });
  EXPECT_EQ(found.severity, Severity::warning);
  EXPECT_THAT(found.remedy, HasSubstr("ROLLBACK PREPARED 'it''s'"));
  EXPECT_EQ(after([](auto& facts) { facts.prepared = {{"new", "app", seconds(2)}}; }).severity, Severity::ok);
  EXPECT_EQ(after([](auto& facts) {
              facts.source->sidecar_running = false;
              facts.copies.clear();
              facts.fill_slots = {{"anabranch_shop_fill_3", 1 << 30, false, false}};
            }).severity,
            Severity::warning);
  EXPECT_EQ(after([](auto& facts) {
              facts.fill_slots = {{"anabranch_shop_fill_3", 1 << 30, true, true}};
            }).severity,
            Severity::ok);
}

TEST(StatusJudge, TheCopies) {
  const auto of = [](const CopyStatus& copy) { return after([&copy](auto& facts) { facts.copies.push_back(copy); }); };
  for (const char* state : {"waiting", "filling", "catching_up", "live"})
    EXPECT_EQ(of(copy("x", state)).severity, Severity::ok) << state;
  auto failed = copy("public.\"it's\"", "failed");
  failed.sqlstate = "22012";
  failed.reason = "division by zero";
  failed.failed_lsn = Lsn(0x300);
  auto found = of(failed);
  EXPECT_EQ(found.severity, Severity::critical);
  EXPECT_THAT(found.text, HasSubstr("has failed (22012) in the transaction that ends at 0/300: division by zero"));
  EXPECT_THAT(found.remedy, HasSubstr("SELECT anabranch.resume('public.\"it''s\"');"));
  auto stale = copy("x", "stale");
  stale.reason = "column \"a\" was dropped";
  EXPECT_THAT(of(stale).text, HasSubstr("column \"a\" was dropped"));
  EXPECT_EQ(of(copy("x", "unbound")).severity, Severity::critical);
  auto paused = copy("x", "paused");
  paused.pause_requested = true;
  EXPECT_EQ(of(paused).severity, Severity::warning);
  auto forbidden = copy("x", "live");
  forbidden.problem = "app may not read column b of public.t";
  EXPECT_EQ(of(forbidden).severity, Severity::critical);
}

TEST(StatusJudge, TheWorstStandsLast) {
  auto facts = healthy();
  facts.copies = {copy("a", "failed"), copy("b", "paused"), copy("c", "live")};
  facts.source->slot_active = false;
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

TEST(StatusJson, HoldsWhatTheScreenShows) {
  auto facts = healthy();
  auto failed = copy("public.x", "failed");
  failed.reason = "bytes that are no UTF-8: \xff";
  facts.copies.push_back(failed);
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

}  // namespace
}  // namespace anabranch
