// Large transactions: the parts they are cut into, how much is committed to Kafka at once, and how one that was left in
// the middle is gone on with.
#include "sidecar/publish/publisher.hpp"

#include <gtest/gtest.h>

#include <chrono>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "decoder/record.pb.h"
#include "test/unit/publish/publisher_world.hpp"

namespace anabranch {
namespace {

using test::ModelRecord;
using test::RowBuilder;
using test::SourceUnit;
using test::StreamBuilder;
using test::World;

TEST(Publisher, CutsALargeTransactionIntoParts) {
  World world;
  world.settings.batch.records_max = 10;
  world.start();
  std::vector<int> keys(95);
  for (size_t i = 0; i < keys.size(); ++i) keys[i] = static_cast<int>(i);
  world.insert(5, 200, {1});
  world.insert(6, 900, keys, 7);
  world.insert(7, 1000, {2});
  world.run();
  world.expect_exactly_once();
  EXPECT_GE(world.read()[2].parts, 9u);
}

// Who reads a part has it in memory; how much is committed at once is another matter.
TEST(Publisher, CommitsManyPartsOfATransactionAtOnce) {
  const auto published = [](size_t part_records, size_t part_bytes) {
    World world;
    world.settings.part_records_max = part_records;
    world.settings.part_bytes_max = part_bytes;
    world.start();
    std::vector<int> keys(95);
    for (size_t i = 0; i < keys.size(); ++i) keys[i] = static_cast<int>(i);
    world.insert(6, 900, keys, 7);
    world.run();
    world.expect_exactly_once();
    return std::pair(world.read()[1].parts, world.kafka.committed.size());
  };
  const auto [by_records, commits] = published(10, 1'000'000);
  EXPECT_EQ(by_records, 10u);
  EXPECT_LE(commits, 3u) << "of where publishing begins, and of the unit";
  EXPECT_GE(published(1'000'000, 10).first, 20u);
  EXPECT_EQ(published(1'000'000, 1'000'000).first, 1u);
}

TEST(Publisher, EndsInAPartWithoutRecordsWhereTheRowsFilledTheOneBefore) {
  World world;
  world.settings.batch.records_max = 10;
  world.start();
  const std::vector<int> keys = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9};
  world.insert(6, 900, keys, 2 + keys.size());  // the commit comes in a frame of its own
  world.insert(7, 1000, {2});
  world.run();
  world.expect_exactly_once();
  EXPECT_EQ(world.read()[1].parts, 2u);
}

// A record of the transaction topic has the bound of every other.
TEST(Publisher, EndsAPartBeforeItsRecordIsTooLarge) {
  World world;
  world.settings.record_bytes_max = 2'000;
  world.settings.batch.interval_max = world.settings.batch_behind.interval_max = std::chrono::hours(1);
  world.kafka.table_partitions = 1;
  world.start();
  StreamBuilder stream;
  SourceUnit unit;
  unit.xid = 5;
  unit.end = Lsn(200);
  stream.begin(5, 195, 1, 200);
  for (uint32_t oid = 1; oid <= 60; ++oid) {
    stream.relation(oid);
    const std::string row = RowBuilder().integer(1, oid);
    stream.insert(oid, row);
    unit.expected.push_back("c " + row);
  }
  stream.commit(200);
  unit.frames = stream.frames();
  world.log.units.push_back(std::move(unit));
  world.run();
  world.expect_exactly_once();
  for (const ModelRecord& record : world.kafka.read("shop.transaction", 0)) EXPECT_LE(record.value.size(), 1'200u);
}

TEST(Publisher, GoesOnWithinALargeTransaction) {
  World world;
  world.settings.batch.records_max = 10;
  world.start();
  std::vector<int> keys(95);
  for (size_t i = 0; i < keys.size(); ++i) keys[i] = static_cast<int>(i);
  world.insert(6, 900, keys, 7);
  int commits = 0;
  world.kafka.after_commit = [&] {
    if (++commits == 5) throw ProducerError(ProducerError::Kind::passes, "the answer to a commit was lost");
  };
  world.run();
  world.expect_exactly_once();
}

TEST(Publisher, StopsWhereAReplayDiffers) {
  World world;
  world.settings.batch.records_max = 10;
  world.start();
  std::vector<int> keys(50);
  world.insert(6, 900, keys, 7);
  int commits = 0;
  world.kafka.after_commit = [&] {
    if (++commits != 3) return;
    world.log.units.clear();
    std::vector<int> others(50, 1);
    world.insert(6, 900, others, 7);
    throw ProducerError(ProducerError::Kind::passes, "lost");
  };
  EXPECT_EQ(world.stopped_by(), "replay_differs");
}

// While a half-published unit is replayed other things may be committed; a crash then must find what was recorded.
TEST(Publisher, KeepsWhatIsRecordedOfAUnitThatIsReplayed) {
  World world;
  world.settings.batch.records_max = 10;
  world.start();
  StreamBuilder stream;
  SourceUnit unit;
  unit.xid = 6;
  unit.end = Lsn(900);
  stream.begin(6, 895, 1, 900);
  stream.relation(1);
  for (int i = 0; i < 30; ++i) {
    v1::Record rejected;
    rejected.mutable_message()->set_transactional(true);
    rejected.mutable_message()->set_prefix("stream");
    rejected.mutable_message()->set_content(std::string(100, 'x'));
    rejected.mutable_message()->set_sqlstate("22P02");
    rejected.mutable_message()->set_reason("no row");
    stream.add(rejected);
    const std::string row = RowBuilder().integer(1, i);
    stream.insert(1, row);
    unit.expected.push_back("c " + row);
  }
  stream.commit(900);
  unit.frames = stream.frames(3);
  world.log.units.push_back(std::move(unit));
  world.settings.batch.bytes_max = 800;
  world.settings.batch_behind = world.settings.batch;
  world.start();
  int commits = 0;
  std::pair<uint32_t, uint64_t> reached;
  world.kafka.after_commit = [&] {
    const Progress progress = *world.progress.read("home", ProgressStore::Reach::readable).progress;
    if (progress.within_transaction()) {
      EXPECT_GE(std::pair(progress.parts, progress.records), reached);
      reached = {progress.parts, progress.records};
    }
    if (++commits % 3 == 0 && commits < 30) throw ProducerError(ProducerError::Kind::passes, "lost");
  };
  world.run();
  world.expect_exactly_once();
}

// Parts and Progress are written before the offsets that they name are known.
TEST(Publisher, NamesTheOffsetsWhereRecordsStand) {
  for (const char* topic : {"shop.transaction", "shop.public.t1"}) {
    World world;
    world.settings.batch.records_max = 2;
    world.start();
    for (uint64_t unit = 0; unit < 10; ++unit) world.insert(10 + unit, 200 + 100 * unit, {1, 2});
    std::vector<int> flushes;
    int commits = 0;
    world.kafka.before_step = [&](const char* step) {
      if (step == std::string("begin")) flushes.push_back(0);
      if (step == std::string("flush") && !flushes.empty()) ++flushes.back();
    };
    world.kafka.after_commit = [&] {
      world.read();
      if (++commits != 6) return;
      for (size_t i = 0; i < world.kafka.topics.at(topic).size(); ++i) world.kafka.take_offsets(topic, i, 3);
    };
    world.run();
    world.expect_exactly_once();
    EXPECT_GE(commits, 11);
    EXPECT_EQ(world.kafka.aborted.size(), 1u) << "the one that took for granted what was not";
    EXPECT_EQ(flushes.back(), 1) << "once they are known nothing is waited for but the commit";
    EXPECT_EQ(flushes[1], 2) << "where records stand is asked first";
  }
}

TEST(Publisher, CommitsMoreAtOnceFarBehind) {
  const auto commits = [](int64_t postgres_us) {
    World world;
    world.settings.batch.records_max = 10;
    world.settings.batch_behind.records_max = 1'000;
    world.clock.postgres_us = postgres_us;
    world.start();
    for (uint64_t unit = 0; unit < 50; ++unit) world.insert(10 + unit, 200 + 100 * unit, {1, 2, 3});
    world.run();
    world.expect_exactly_once();
    return world.kafka.committed.size();
  };
  EXPECT_GE(commits(500'000), 12u);
  EXPECT_LE(commits(60'000'000), 3u) << "of where publishing begins, and of all the units";
}

// Near; far behind the server is asked again, so that a Kafka transaction is as large as it may be.
TEST(Publisher, CommitsWhatOneSnapshotShows) {
  const auto commits = [](int64_t postgres_us) {
    World world;
    world.clock.postgres_us = postgres_us;
    world.source.visible = "7:7:";
    world.start();
    for (uint64_t xid = 5; xid < 9; ++xid) world.insert(xid, 100 * xid, {1});
    world.kafka.before_step = [&](const char* step) {
      const bool begun = world.kafka.committed.size() == 1;  // where publishing begins
      if (begun && std::string_view(step) == "produce") world.source.visible = "9:9:";
    };
    world.run();
    world.expect_exactly_once();
    return world.kafka.committed.size();
  };
  EXPECT_EQ(commits(500'000), 3u) << "of where publishing begins, before 7, and from 7 on";
  EXPECT_EQ(commits(60'000'000), 2u);
}

}  // namespace
}  // namespace anabranch
