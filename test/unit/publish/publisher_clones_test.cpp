// Witnesses: how a publisher tells a clone of its server from the original, and the original from a clone.
#include "sidecar/publish/publisher.hpp"

#include <gtest/gtest.h>

#include <chrono>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "sidecar/pg/result.hpp"
#include "test/unit/publish/publisher_clone.hpp"
#include "test/unit/publish/publisher_world.hpp"

namespace anabranch {
namespace {

using test::Clone;
using test::recorded;
using test::run_past;
using test::World;

TEST(Publisher, RecordsAWitnessOnceTheLogHasIt) {
  World world;
  world.log.wal_end = Lsn(250);
  world.insert(5, 200, {1});
  world.run();
  ASSERT_EQ(world.source.renewals.size(), 1u);
  EXPECT_EQ(recorded(world).witness, "") << "the WAL before 251 has none";
  world.insert(6, 300, {2});
  world.run();
  EXPECT_EQ(recorded(world).witness, world.source.witnesses.fresh);
  const Witnesses first = world.source.witnesses;
  EXPECT_EQ(first.recorded, "");
  world.insert(7, 400, {3});
  world.run();
  EXPECT_EQ(world.source.renewals.size(), 1u) << "a minute has not passed";
  world.clock.time += world.settings.witness_interval;
  world.log.wal_end = Lsn(450);
  world.insert(8, 451, {4});  // its last commit is the renewal's
  world.insert(9, 500, {5});
  world.run();
  EXPECT_EQ(world.source.witnesses.recorded, first.fresh);
  EXPECT_EQ(recorded(world).witness, world.source.witnesses.fresh);
  world.expect_exactly_once();
}

TEST(Publisher, KeepsTheWitnessWithinALargeTransaction) {
  World world;
  world.settings.batch.records_max = 10;
  world.insert(5, 200, {1});
  world.start();
  world.run();
  world.clock.time += std::chrono::seconds(10);
  world.log.wal_end = Lsn(200);
  run_past(world, {});
  const std::string before = recorded(world).witness;
  world.clock.time += world.settings.witness_interval;
  world.log.wal_end = Lsn(1'000);
  std::vector<int> keys(95);
  world.insert(6, 900, keys, 7);
  int parts = 0;
  world.kafka.after_commit = [&] {
    if (!recorded(world).within_transaction()) return;
    ++parts;
    EXPECT_EQ(recorded(world).witness, before);
  };
  world.run();
  EXPECT_GE(parts, 8);
  EXPECT_EQ(world.source.witnesses.recorded, before);
  EXPECT_EQ(recorded(world).witness, before);
  run_past(world, {"", before});
  world.expect_exactly_once();
}

TEST(Publisher, PublishesOnWhereTheWitnessCannotBeRenewed) {
  World world;
  int failures = 0;
  world.source.before_renewal = [&] {
    ++failures;
    throw PgError("25006", "cannot execute INSERT in a read-only transaction");
  };
  for (uint64_t unit = 0; unit < 20; ++unit) world.insert(5 + unit, 200 + 100 * unit, {1});
  world.run();
  world.expect_exactly_once();
  EXPECT_EQ(failures, 1) << "it is tried again later";
  EXPECT_EQ(recorded(world).witness, "");
  world.source.before_renewal = [] {};
  world.clock.time += world.settings.witness_interval;
  world.insert(50, 5'000, {2});
  world.run();
  EXPECT_EQ(recorded(world).witness, world.source.witnesses.fresh);
}

// What it would take away is what its successor has recorded.
TEST(Publisher, ReplacesNoWitnessOfItsSuccessor) {
  World world;
  world.insert(5, 200, {1});
  world.run();
  auto halted = std::move(world.publisher);
  world.run_id = "another";
  world.start();
  world.insert(6, 300, {2});
  world.run();
  world.clock.time += 2 * world.settings.witness_interval;
  const Witnesses of_the_successor = world.source.witnesses;
  try {
    for (int i = 0; i < 10; ++i) halted->step();
    ADD_FAILURE() << "it was fenced";
  } catch (const PublishStopped& stopped) {
    EXPECT_EQ(stopped.reason(), "fenced");
  }
  EXPECT_EQ(world.source.witnesses.fresh, of_the_successor.fresh);
  world.insert(7, 400, {3});
  world.run();
  EXPECT_TRUE(world.source.witnesses.have(recorded(world).witness));
  world.expect_exactly_once();
}

TEST(Publisher, IsNotTakenForARunningOriginalThatRenewsItsWitness) {
  World world;
  world.log.wal_end = Lsn(200);
  world.insert(5, 200, {1});
  world.run();
  run_past(world, {});
  // The second process has read the progress, and halts for minutes before it reads the database.
  Publisher second(
      world.settings,
      {world.log, world.producers, world.progress, world.topics, world.source, *world.format, world.clock, nullptr},
      "of the second");
  int calls = 0;
  world.source.before_facts = [&] {
    if (++calls != 2) return;
    for (int i = 0; i < 2; ++i) {
      world.clock.time += world.settings.witness_interval;
      run_past(world, world.source.witnesses);
    }
  };
  const Witnesses before = world.source.witnesses;
  EXPECT_NO_THROW(second.step());
  EXPECT_TRUE(second.streaming());
  EXPECT_FALSE(before.have(world.source.witnesses.recorded));
}

TEST(Publisher, IsFencedWhereAnotherHasRenewedTheWitnessWhileItWaited) {
  World world;
  world.log.wal_end = Lsn(200);
  world.insert(5, 200, {1});
  world.run();
  run_past(world, {});
  // A second process waits for the slot, which a third one takes.
  Publisher second(
      world.settings,
      {world.log, world.producers, world.progress, world.topics, world.source, *world.format, world.clock, nullptr},
      "of the second");
  world.source.reader = 77;
  bool taken = false;
  world.clock.asleep = [&] {
    if (std::exchange(taken, true)) return;
    world.source.reader.reset();
    world.run_id = "of the third";
    world.start();
    for (int i = 0; i < 2; ++i) {
      world.clock.time += world.settings.witness_interval;
      run_past(world, world.source.witnesses);
    }
    world.source.reader = 78;
  };
  try {
    second.step();
    ADD_FAILURE() << "it was fenced";
  } catch (const PublishStopped& stopped) {
    EXPECT_EQ(stopped.reason(), "fenced");
  }
  EXPECT_TRUE(taken);
}

TEST(Publisher, ACloneFencesNobody) {
  World world;
  world.log.wal_end = Lsn(100);
  world.insert(5, 200, {1});
  world.run();
  run_past(world, {});
  Clone clone(world);
  clone.log.wal_end = Lsn(10'000);
  world.insert(6, 300, {2});
  world.log.wal_end = Lsn(300);
  world.start();  // which renews it
  run_past(world, clone.source.witnesses);
  const int epoch = world.kafka.epoch, transactions = world.kafka.transactions;
  EXPECT_EQ(clone.stopped_by(world), "other_history");
  EXPECT_EQ(std::pair(world.kafka.epoch, world.kafka.transactions), std::pair(epoch, transactions));
  world.insert(7, 400, {3});
  world.run();
  world.expect_exactly_once();
}

}  // namespace
}  // namespace anabranch
