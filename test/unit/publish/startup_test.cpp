// Every row of the decision table: what is found at the start, and what follows from it.
#include "sidecar/publish/startup.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace anabranch {
namespace {

using Kind = StartupDecision::Kind;
using Reason = StartupDecision::Reason;
using ::testing::HasSubstr;

// A source published up to 0/1000 from slot "s", whose slot stands at 0/900, with one table's topic.
StartupFacts level() {
  StartupFacts facts;
  Progress progress;
  progress.lsn = Lsn(0x1000);
  progress.transaction_offset = 41;
  progress.cluster_id = "kafka-1";
  progress.run_id = "0123456789abcdef";
  progress.system_identifier = "700";
  progress.timeline = 1;
  progress.slot = "s";
  facts.stored.progress = progress;
  facts.cluster_id = "kafka-1";
  facts.topics = {{"shop.public.item", {10, 0, 7}, std::vector<int64_t>{12, 0, 7}}};
  facts.transaction_end = 43;
  facts.source.system_identifier = "700";
  facts.source.timeline = 1;
  facts.source.flushed = Lsn(0x5000);
  facts.source.slot = SourceSlot{};
  facts.source.slot->confirmed = Lsn(0x900);
  facts.source.published_before = true;
  facts.source.published_lsn = Lsn(0x1000);
  facts.slot = "s";
  return facts;
}

// Never published: nothing recorded anywhere.
StartupFacts fresh() {
  StartupFacts facts = level();
  facts.stored = {};
  facts.topics.clear();
  facts.transaction_end.reset();
  facts.source.published_before = false;
  facts.source.published_lsn = Lsn();
  return facts;
}

void expect_stop(const StartupFacts& facts, Reason reason, const std::string& words) {
  const StartupDecision decision = decide_startup(facts);
  EXPECT_EQ(decision.kind, Kind::stop) << decision.message;
  EXPECT_STREQ(reason_name(decision.reason), reason_name(reason)) << decision.message;
  EXPECT_THAT(decision.message, HasSubstr(words));
  EXPECT_FALSE(decision.may_go_on());
}

TEST(Startup, GoesOnAtWhatIsRecorded) {
  const StartupDecision decision = decide_startup(level());
  EXPECT_EQ(decision.kind, Kind::go_on) << decision.message;
  EXPECT_EQ(decision.position, Lsn(0x1000));
}

TEST(Startup, GoesOnWhereTheSlotStandsExactlyThere) {
  StartupFacts facts = level();
  facts.source.slot->confirmed = Lsn(0x1000);
  facts.source.flushed = Lsn(0x1000);
  facts.transaction_end = 42;
  facts.topics[0].found = facts.topics[0].recorded;
  facts.known = Lsn(0x1000);
  EXPECT_EQ(decide_startup(facts).kind, Kind::go_on);
}

TEST(Startup, BeginsAtTheSlotWhenNothingWasEverPublished) {
  const StartupDecision decision = decide_startup(fresh());
  EXPECT_EQ(decision.kind, Kind::begin) << decision.message;
  EXPECT_EQ(decision.position, Lsn(0x900));
}

TEST(Startup, StopsAtAGap) {
  StartupFacts facts = level();
  facts.source.slot->confirmed = Lsn(0x1001);
  expect_stop(facts, Reason::gap, "0/1001");
}

TEST(Startup, StopsWhenProgressIsLost) {
  StartupFacts facts = fresh();
  facts.source.published_before = true;
  facts.source.published_lsn = Lsn(0x1000);
  expect_stop(facts, Reason::progress_lost, "0/1000");
  // Without the home database's memory, by this process's own.
  facts = fresh();
  facts.known = Lsn(0x2000);
  expect_stop(facts, Reason::progress_lost, "0/2000");
}

TEST(Startup, StopsWhenProgressFalls) {
  StartupFacts facts = level();
  facts.known = Lsn(0x1001);
  expect_stop(facts, Reason::progress_fell, "0/1001");
}

TEST(Startup, StopsWithoutASlot) {
  StartupFacts facts = level();
  facts.source.slot.reset();
  expect_stop(facts, Reason::slot_missing, "since 0/1000");
  facts = fresh();
  facts.source.slot.reset();
  expect_stop(facts, Reason::slot_missing, "anabranch init");
}

TEST(Startup, StopsAtASlotOfAnotherKind) {
  StartupFacts facts = level();
  facts.source.slot->usable = false;
  facts.source.slot->problem = "replication slot \"s\" is one of plugin \"pgoutput\"";
  expect_stop(facts, Reason::slot_unusable, "pgoutput");
}

TEST(Startup, StopsWhenTheServerHasRemovedTheWal) {
  StartupFacts facts = level();
  facts.source.slot->lost = true;
  expect_stop(facts, Reason::slot_lost, "max_slot_wal_keep_size");
}

TEST(Startup, WaitsForASlotInUse) {
  StartupFacts facts = level();
  facts.source.slot->active_pid = 77;
  const StartupDecision decision = decide_startup(facts);
  EXPECT_EQ(decision.kind, Kind::wait);
  EXPECT_THAT(decision.message, HasSubstr("77"));
  // What is wrong for good is said at once, whoever uses the slot.
  facts.source.slot->confirmed = Lsn(0x2000);
  expect_stop(facts, Reason::gap, "0/2000");
}

TEST(Startup, RefusesAnotherSystem) {
  StartupFacts facts = level();
  facts.source.system_identifier = "701";
  expect_stop(facts, Reason::other_system, "adopt");
  EXPECT_EQ(decide_before_init(facts).reason, Reason::other_system);
}

TEST(Startup, RefusesAnotherSlotOrInstance) {
  StartupFacts facts = level();
  facts.slot = "t";
  expect_stop(facts, Reason::other_identity, "\"t\"");
  facts = level();
  facts.instance = "b";
  expect_stop(facts, Reason::other_identity, "\"b\"");
  EXPECT_EQ(decide_before_init(facts).reason, Reason::other_identity);
}

TEST(Startup, FencesNobodyWhereItCannotGoOn) {
  EXPECT_TRUE(decide_before_init(level()).may_go_on());
  EXPECT_TRUE(decide_before_init(fresh()).may_go_on()) << "then there is nobody to fence";
  StartupFacts facts = level();
  facts.source.slot.reset();
  EXPECT_EQ(decide_before_init(facts).reason, Reason::slot_missing) << "a clone has no slots";
  facts = level();
  facts.source.slot->confirmed = Lsn(0x1001);
  EXPECT_EQ(decide_before_init(facts).reason, Reason::gap) << "or one that was made on it";
  facts = level();
  facts.source.flushed = Lsn(0xfff);
  EXPECT_EQ(decide_before_init(facts).reason, Reason::older_server) << "and has not written as much";
  facts = level();
  facts.source.timeline = 2;
  facts.source.switched_at = Lsn(0xfff);
  EXPECT_EQ(decide_before_init(facts).reason, Reason::diverged);
  facts = level();
  facts.known = Lsn(0x1001);
  EXPECT_EQ(decide_before_init(facts).reason, Reason::progress_fell);
  facts = level();
  facts.source.slot->active_pid = 77;
  EXPECT_TRUE(decide_before_init(facts).may_go_on()) << "whoever uses the slot is to be fenced";
}

TEST(Startup, TakesWhatIsInDoubtForPublishedUntilItIsSettled) {
  StartupFacts facts = level();
  facts.stored.whole = false;
  facts.source.slot->confirmed = Lsn(0x1001);
  EXPECT_TRUE(decide_before_init(facts).may_go_on());
  facts.known = Lsn(0x1001);
  EXPECT_TRUE(decide_before_init(facts).may_go_on());
  facts.source.slot->lost = true;
  EXPECT_EQ(decide_before_init(facts).reason, Reason::slot_lost);
}

TEST(Startup, RefusesToSharePrefixes) {
  StartupFacts facts = fresh();
  facts.stored.other_sources = {"branch"};
  expect_stop(facts, Reason::shared_prefix, "branch");
}

TEST(Startup, GoesOnAfterASwitchOfTimelineThatTheTopicsHaveNotPassed) {
  StartupFacts facts = level();
  facts.source.timeline = 2;
  facts.source.switched_at = Lsn(0x1000);
  EXPECT_EQ(decide_startup(facts).kind, Kind::go_on);
}

TEST(Startup, StopsWhereTheTopicsHoldWhatTheNewPrimaryNeverHad) {
  StartupFacts facts = level();
  facts.source.timeline = 2;
  facts.source.switched_at = Lsn(0xfff);
  expect_stop(facts, Reason::diverged, "0/FFF");
  facts.source.switched_at.reset();
  expect_stop(facts, Reason::diverged, "unknown");
  // Parts of a transaction that the new primary never had count, too.
  facts.source.switched_at = Lsn(0x1000);
  facts.stored.progress->part_end_lsn = Lsn(0x1200);
  facts.stored.progress->parts = 1;
  expect_stop(facts, Reason::diverged, "0/1200");
}

TEST(Startup, RefusesAnOlderServer) {
  StartupFacts facts = level();
  facts.source.flushed = Lsn(0xfff);
  expect_stop(facts, Reason::older_server, "0/FFF");
  facts = level();
  facts.stored.progress->timeline = 2;
  expect_stop(facts, Reason::older_server, "timeline 2");
  facts = level();
  facts.stored.progress->part_end_lsn = Lsn(0x6000);
  facts.stored.progress->parts = 3;
  expect_stop(facts, Reason::older_server, "0/6000");
}

// By positions it could be the original: the same timeline, and WAL beyond P.
TEST(Startup, RefusesACopyThatHasWrittenAsMuchAsTheOriginal) {
  StartupFacts facts = level();
  facts.stored.progress->witness = "b";
  facts.source.witnesses = {"a", "b"};
  EXPECT_EQ(decide_startup(facts).kind, Kind::go_on) << "it is recorded, and not known to be";
  facts.source.witnesses = {"b", "c"};
  EXPECT_EQ(decide_startup(facts).kind, Kind::go_on) << "the next one is on its way";
  for (const Witnesses& older : {Witnesses{"", "a"}, Witnesses{"z", "a"}, Witnesses{}}) {
    facts.source.witnesses = older;
    expect_stop(facts, Reason::other_history, "0/1000");
    expect_stop(facts, Reason::other_history, "anabranch adopt");
    EXPECT_EQ(decide_before_init(facts).reason, Reason::other_history) << "it fences nobody";
    facts.stored.whole = false;
    EXPECT_EQ(decide_before_init(facts).reason, Reason::other_history) << "what is in doubt has a later one";
    facts.stored.whole = true;
  }
  // It has a slot that stands behind P, or none: what it is has to be said first.
  facts.source.slot->confirmed = Lsn(0x1001);
  expect_stop(facts, Reason::other_history, "clone");
  facts.source.slot.reset();
  expect_stop(facts, Reason::other_history, "clone");
}

TEST(Startup, JudgesNoWitnessWhereNoneIsRecorded) {
  StartupFacts facts = level();
  EXPECT_EQ(decide_startup(facts).kind, Kind::go_on);
  facts.source.witnesses = {"a", "b"};
  EXPECT_EQ(decide_startup(facts).kind, Kind::go_on) << "an older version has published since";
  EXPECT_TRUE(decide_before_init(facts).may_go_on());
  EXPECT_TRUE(decide_before_init(fresh()).may_go_on());
}

// A standby that has P has its witness; one that has not is told by its position.
TEST(Startup, TellsAPromotedStandbyByPositionsFirst) {
  StartupFacts facts = level();
  facts.stored.progress->witness = "b";
  facts.source.witnesses = {"a", "b"};
  facts.source.timeline = 2;
  facts.source.switched_at = Lsn(0x1000);
  EXPECT_EQ(decide_startup(facts).kind, Kind::go_on);
  facts.source.witnesses = {"", "a"};
  facts.source.switched_at = Lsn(0xfff);
  expect_stop(facts, Reason::diverged, "0/FFF");
}

TEST(Startup, RefusesAnotherKafkaCluster) {
  StartupFacts facts = level();
  facts.cluster_id = "kafka-2";
  expect_stop(facts, Reason::other_cluster, "kafka-2");
}

TEST(Startup, StopsWhenATopicIsGoneOrShorter) {
  StartupFacts facts = level();
  facts.topics[0].found.reset();
  expect_stop(facts, Reason::topic_lost, "shop.public.item");
  facts = level();
  facts.topics[0].found = std::vector<int64_t>{12, 0, 6};
  expect_stop(facts, Reason::topic_lost, "partition 2");
  facts.topics[0].found = std::vector<int64_t>{12, 0};
  expect_stop(facts, Reason::topic_lost, "partition 2");
  facts.topics[0].found = std::vector<int64_t>{12, 0, 7, 0, 0};
  EXPECT_EQ(decide_startup(facts).kind, Kind::go_on) << "partitions were added";
  facts.transaction_end = 41;
  expect_stop(facts, Reason::topic_lost, "41");
  facts.transaction_end.reset();
  expect_stop(facts, Reason::topic_lost, "does not exist");
}

// --- Adoption -------------------------------------------------------------------------------------------------------

TEST(Startup, AdoptsWhereItIsKnownWhatIsMissing) {
  const auto adoption = [](Kind kind, Reason reason) {
    return decide_adoption({kind, reason, Lsn(), ""}, Lsn(0x900), Lsn(0x1000));
  };
  const auto whole = adoption(Kind::go_on, Reason::recorded);
  ASSERT_TRUE(whole);
  EXPECT_TRUE(whole->complete);
  EXPECT_EQ(whole->position, Lsn(0x1000));
  for (const Reason reason : {Reason::topic_lost, Reason::other_cluster}) {
    ASSERT_TRUE(adoption(Kind::stop, reason));
    EXPECT_FALSE(adoption(Kind::stop, reason)->complete);
    EXPECT_EQ(adoption(Kind::stop, reason)->position, Lsn(0x1000)) << "the server goes on where it was";
  }
  for (const Reason reason : {Reason::gap, Reason::progress_lost, Reason::other_system, Reason::diverged,
                              Reason::older_server, Reason::other_history}) {
    ASSERT_TRUE(adoption(Kind::stop, reason));
    EXPECT_EQ(adoption(Kind::stop, reason)->position, Lsn(0x900));
  }
}

TEST(Startup, AdoptsNothingThatItWouldNotMend) {
  EXPECT_FALSE(decide_adoption({Kind::wait, Reason::slot_active, Lsn(), ""}, Lsn(0x900), Lsn(0x1000)));
  EXPECT_FALSE(decide_adoption({Kind::begin, Reason::first_start, Lsn(0x900), ""}, Lsn(0x900), Lsn()));
  for (const Reason reason : {Reason::shared_prefix, Reason::slot_missing, Reason::slot_lost, Reason::slot_unusable,
                              Reason::other_identity, Reason::progress_fell})
    EXPECT_FALSE(decide_adoption({Kind::stop, reason, Lsn(), ""}, Lsn(0x900), Lsn(0x1000)));
}

}  // namespace
}  // namespace anabranch
