// The publisher against models of Kafka, the slot and the database. Whatever fails and wherever, what a read_committed
// reader sees in the end is what the source committed: each unit once, whole, in order.
#include "sidecar/publish/publisher.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <optional>
#include <random>
#include <tuple>
#include <utility>

#include "decoder/record.pb.h"
#include "sidecar/pg/result.hpp"
#include "sidecar/publish/batch.hpp"
#include "sidecar/topic/topic.pb.h"
#include "test/unit/publish/publisher_world.hpp"
#include "test/unit/publish/random_failures.hpp"

namespace anabranch {
namespace {

using test::for_each_seed;
using test::Killed;
using test::ModelRecord;
using test::RandomFailures;
using test::RowBuilder;
using test::SourceUnit;
using test::StreamBuilder;
using test::World;
using ::testing::HasSubstr;
using namespace std::chrono_literals;

TEST(Publisher, PublishesTransactionsWholeAndInOrder) {
  World world;
  world.insert(5, 200, {1, 2, 3});
  world.insert(6, 300, {4});
  world.run();
  world.expect_exactly_once();
  EXPECT_EQ(world.log.confirmed, Lsn(300));
  const auto units = world.read();
  EXPECT_TRUE(units[0].is_position);
  EXPECT_EQ(units[0].end, Lsn(100)) << "publishing begins where the slot stood";
}

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

TEST(Publisher, SplitsAChangeOfTheKeyAndKeysByPartition) {
  World world;
  StreamBuilder stream;
  stream.begin(5, 195, 1, 200);
  stream.relation(1);
  const std::string old_key = RowBuilder().integer(1, 1), row = RowBuilder().integer(1, 2).integer(2, 3);
  stream.update(1, v1::BEFORE_KEY, old_key, row);
  stream.commit(200);
  SourceUnit unit;
  unit.end = Lsn(200);
  unit.frames = stream.frames();
  unit.expected = {"d " + old_key, "c " + row};
  world.log.units.push_back(unit);
  world.run();
  world.expect_exactly_once();
}

TEST(Publisher, WritesATruncateIntoEveryPartition) {
  World world;
  StreamBuilder stream;
  stream.begin(5, 195, 1, 200);
  stream.relation(1);
  stream.insert(1, RowBuilder().integer(1, 1));
  stream.truncate({{1, 0}});
  stream.commit(200);
  SourceUnit unit;
  unit.end = Lsn(200);
  unit.frames = stream.frames();
  unit.expected = {"c " + std::string(RowBuilder().integer(1, 1)), "t "};
  world.log.units.push_back(unit);
  world.run();
  world.expect_exactly_once();
  for (size_t partition = 0; partition < 3; ++partition) {
    const auto records = world.kafka.read("shop.public.t1", partition);
    ASSERT_FALSE(records.empty());
    EXPECT_EQ(records.back().headers.at("op"), "t");
    EXPECT_EQ(records.back().headers.at("number"), "2");
    EXPECT_FALSE(records.back().has_key);
  }
}

TEST(Publisher, RefusesATableWithoutAKey) {
  World world;
  StreamBuilder stream;
  stream.begin(5, 195, 1, 200);
  stream.relation(1, 2, 0, v1::REPLICA_IDENTITY_FULL);
  stream.insert(1, RowBuilder().integer(1, 1));
  stream.commit(200);
  SourceUnit unit;
  unit.end = Lsn(200);
  unit.frames = stream.frames();
  unit.expected = {"c " + std::string(RowBuilder().integer(1, 1))};
  world.log.units.push_back(unit);
  EXPECT_EQ(world.stopped_by(), "keyless");
  world.settings.keyless_full_row = true;
  world.start();
  world.run();
  world.expect_exactly_once();
}

TEST(Publisher, RecordsAnIdleLog) {
  World world;
  world.insert(5, 200, {1});
  world.run();
  world.log.wal_end = Lsn(5000);
  for (int i = 0; i < 5000 && world.log.confirmed < Lsn(5000); ++i) world.publisher->step();
  EXPECT_EQ(world.log.confirmed, Lsn(5000));
  EXPECT_TRUE(world.read().back().is_position);
  EXPECT_EQ(world.read().back().end, Lsn(5000));
}

TEST(Publisher, WaitsUntilATransactionIsVisible) {
  World world;
  world.source.visible = "5:6:5";
  world.insert(4, 200, {1});
  world.insert(5, 300, {2});
  int sleeps = 0;
  world.clock.asleep = [&] {
    if (world.kafka.committed.size() < 2) return;  // the brokers mark partitions
    EXPECT_EQ(world.log.confirmed, Lsn(200)) << "what stands before it is out";
    if (++sleeps == 3) world.source.visible = "6:6:";
  };
  world.run();
  EXPECT_GE(sleeps, 3);
  world.expect_exactly_once();
}

TEST(Publisher, ParksWhatIsTooLarge) {
  World world;
  world.settings.record_bytes_max = 1000;
  world.start();
  StreamBuilder stream;
  stream.begin(5, 195, 1, 200);
  stream.relation(1);
  std::string row = RowBuilder().integer(1, 1);
  const std::string small = row;
  row += std::string("\x12\xd0\x0f", 3) + std::string(2000, 'x');
  stream.insert(1, row);
  stream.commit(200);
  SourceUnit unit;
  unit.end = Lsn(200);
  unit.frames = stream.frames();
  unit.expected = {"c " + small};
  world.log.units.push_back(unit);
  world.run();
  world.expect_exactly_once();
  ASSERT_EQ(world.source.parked.size(), 1u);
  EXPECT_EQ(world.source.parked[0].column, "c2");
  EXPECT_EQ(world.source.parked[0].lsn, Lsn(200));
  EXPECT_EQ(world.source.parked[0].number, 1u);
}

TEST(Publisher, CutsWhatIsTooLargeIntoFragments) {
  World world;
  world.settings.record_bytes_max = 1000;
  world.settings.oversize_fragment = true;
  world.start();
  StreamBuilder stream;
  stream.begin(5, 195, 1, 200);
  stream.relation(1);
  const std::string row =
      std::string(RowBuilder().integer(1, 1)) + std::string("\x12\xd0\x0f", 3) + std::string(2000, 'x');
  stream.insert(1, row);
  stream.commit(200);
  SourceUnit unit;
  unit.end = Lsn(200);
  unit.frames = stream.frames();
  world.log.units.push_back(unit);
  world.run();
  std::string value;
  size_t slices = 0;
  for (size_t partition = 0; partition < 3; ++partition)
    for (const ModelRecord& record : world.kafka.read("shop.public.t1", partition)) {
      value += record.value;
      EXPECT_EQ(record.headers.at("fragment"), std::to_string(++slices) + "/3");
      EXPECT_EQ(record.headers.at("number"), "1");
    }
  topic::v1::Row read;
  ASSERT_TRUE(read.ParseFromString(value));
  EXPECT_EQ(read.after(), row);
}

TEST(Publisher, WaitsForNoTransactionThatItsPredecessorLeftOpen) {
  World world;
  world.insert(5, 200, {1});
  world.run();
  world.insert(6, 300, {2});
  struct Killed {};
  // Killed with the progress written and not committed: the model fails the test where all of it is asked for then.
  world.kafka.before_step = [&](const char* step) {
    if (step == std::string("commit")) throw Killed{};
  };
  EXPECT_THROW(world.run(), Killed);
  EXPECT_TRUE(world.kafka.open_touched.contains({"shop.progress", 0}));
  world.kafka.before_step = [](const char*) {};
  world.start();
  world.run();
  world.expect_exactly_once();
}

TEST(Publisher, ADelayedEndEndsNoOtherTransaction) {
  World world;
  world.insert(5, 200, {1});
  world.run();
  bool repeated = false;
  world.kafka.repeat_commit = [&] { return !std::exchange(repeated, true); };
  world.insert(6, 300, {2});
  world.insert(7, 400, {3});
  world.run();
  EXPECT_TRUE(repeated);
  world.expect_exactly_once();
}

TEST(Publisher, StopsWhenAnotherHasTakenOver) {
  World world;
  world.insert(5, 200, {1});
  world.run();
  test::ModelProducer other(world.kafka);
  other.init();
  world.insert(6, 300, {2});
  EXPECT_EQ(world.stopped_by(), "fenced");
}

TEST(Publisher, FencesNobodyThatHasPublishedSince) {
  World world;
  world.insert(5, 200, {1});
  world.run();
  auto halted = std::move(world.publisher);
  world.run_id = "another";
  world.start();
  world.insert(6, 300, {2});
  world.run();
  const int epoch = world.kafka.epoch;
  std::swap(halted, world.publisher);
  world.insert(7, 400, {3});
  // It does not hear that it was fenced, but that its transaction was open for too long.
  int failures = 1;
  world.kafka.before_step = [&](const char*) {
    if (failures-- > 0) throw ProducerError(ProducerError::Kind::passes, "injected");
  };
  EXPECT_EQ(world.stopped_by(), "fenced");
  EXPECT_EQ(world.kafka.epoch, epoch);
  world.start();
  world.run();
  world.expect_exactly_once();
}

TEST(Publisher, FencesNobodyWithoutASlotToGoOnFrom) {
  World world;
  world.insert(5, 200, {1});
  world.run();
  const int epoch = world.kafka.epoch;
  world.log.confirmed = Lsn(201);
  world.start();
  EXPECT_EQ(world.stopped_by(), "gap");
  EXPECT_EQ(world.kafka.epoch, epoch);
}

TEST(Publisher, StopsAtAGapAndWhenTopicsAreLost) {
  for (const std::string what : {"gap", "progress_lost", "topic_lost"}) {
    World world;
    world.insert(5, 200, {1});
    world.run();
    if (what == "gap") world.log.confirmed = Lsn(201);
    if (what == "progress_lost") world.kafka.topics.erase("shop.progress");
    if (what == "topic_lost") world.kafka.topics.erase("shop.public.t1");
    world.start();
    EXPECT_EQ(world.stopped_by(), what);
  }
}

TEST(Publisher, WritesIntoNobodyElsesTopic) {
  World world;
  world.kafka.topics["shop.public.t1"].resize(3);
  ModelRecord record;
  record.value = "somebody's";
  world.kafka.topics["shop.public.t1"][1].records.push_back(record);
  world.insert(5, 200, {1, 2, 3});
  EXPECT_EQ(world.stopped_by(), "topic_shared");
}

TEST(Publisher, StopsWhereATableWasMadeAnewWithOtherNumbers) {
  for (const bool adopted : {false, true}) {
    World world;
    world.insert(5, 200, {1});
    world.run();
    auto& progress = world.kafka.topics["shop.progress"][0].records;
    for (ModelRecord& record : progress) {
      if (record.key != "home/shop.public.t1") continue;
      TopicPosition position = read_topic_position(record.value);
      EXPECT_EQ(position.numbering.relation_oid, 1u);
      EXPECT_EQ(position.numbering.system_identifier, "700");
      ASSERT_EQ(position.numbering.columns.size(), position.numbering.highest_number);
      position.numbering.relation_oid = 17;
      position.numbering.columns[1].name = "another";
      if (adopted) position.numbering = {};
      record.value = write_topic_position(position);
    }
    world.start();
    world.insert(6, 300, {2});
    EXPECT_EQ(world.stopped_by(), adopted ? "nothing" : "renumbered");
  }
}

TEST(Publisher, DropsTheSlotRatherThanFillTheServersDisk) {
  World world;
  world.settings.wal_keep_limit_bytes = 1000;
  world.start();
  world.insert(5, 200, {1});
  world.run();
  world.insert(6, 300, {2});
  world.kafka.before_step = [&](const char*) { throw ProducerError(ProducerError::Kind::passes, "no broker"); };
  world.clock.asleep = [&] { world.log.wal_end = Lsn(world.log.wal_end.value() + 400); };
  EXPECT_EQ(world.stopped_by(), "wal_keep_limit");
  EXPECT_TRUE(world.source.slot_dropped);
}

TEST(Publisher, DropsTheSlotAlsoWhereNoBrokerHasEverAnswered) {
  World world;
  world.settings.wal_keep_limit_bytes = 1000;
  world.start();
  world.insert(5, 200, {1});
  world.kafka.before_step = [&](const char*) { throw ProducerError(ProducerError::Kind::passes, "no broker"); };
  world.clock.asleep = [&] { world.log.wal_end = Lsn(world.log.wal_end.value() + 400); };
  EXPECT_EQ(world.stopped_by(), "wal_keep_limit");
  EXPECT_TRUE(world.source.slot_dropped);
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

TEST(Publisher, GivesANumberOnceAtAPositionThatIsAdoptedAgain) {
  World world;
  world.insert(5, 200, {1, 2, 3});
  world.run();
  const StoredProgress stored = world.progress.read("home", ProgressStore::Reach::all);
  EXPECT_EQ(stored.progress->last_number, 3u);
  const auto adopted = [&](Lsn position) {
    std::optional<Batch> batch;
    const auto producer = world.producers.make();
    producer->init();
    const Publisher::Parts parts{world.log,    world.producers, world.progress, world.topics,
                                 world.source, *world.format,   world.clock};
    const TopicNames names("shop");
    batch.emplace(world.settings, names, parts, *producer, stored, *stored.progress);
    batch->take_position(position, true);
    batch->commit();
    return batch->committed().last_number;
  };
  EXPECT_EQ(adopted(Lsn(200)), 3u);
  EXPECT_EQ(adopted(Lsn(150)), 0u);
}

// The decoder has cut the prefix: neither it nor what is left of the key is one.
TEST(Publisher, ParksAMessageWhosePrefixIsTooLong) {
  World world;
  world.settings.message_prefixes = {"orders"};
  world.start();
  StreamBuilder stream;
  SourceUnit unit;
  unit.xid = 5;
  unit.end = Lsn(200);
  stream.begin(5, 195, 1, 200);
  v1::Record record;
  record.mutable_message()->set_transactional(true);
  record.mutable_message()->set_prefix("orders:" + std::string(100, 'k'));
  record.mutable_message()->set_prefix_bytes(300'000'000);
  record.mutable_message()->set_content("content");
  stream.add(record);
  stream.commit(200);
  unit.frames = stream.frames();
  world.log.units.push_back(std::move(unit));
  world.run();
  const auto records = world.kafka.read("shop.message.orders", 0);
  ASSERT_EQ(records.size(), 1u);
  EXPECT_FALSE(records[0].has_key);
  EXPECT_EQ(records[0].value, "");
  ASSERT_EQ(world.source.parked.size(), 1u);
  EXPECT_THAT(world.source.parked[0].reason, HasSubstr("a prefix of 300000000 bytes"));
}

// A row filter that raises on a row leaves nothing of it.
TEST(Publisher, PublishesWithoutAKeyWhatARowFilterRaisesOn) {
  const auto world_with = [](bool whole) {
    auto world = std::make_unique<World>();
    StreamBuilder stream;
    SourceUnit unit;
    unit.xid = 5;
    unit.end = Lsn(200);
    stream.begin(5, 195, 1, 200);
    stream.relation(1);
    v1::Record record;
    record.mutable_insert()->set_relation(1);
    for (uint32_t number = 1; number <= (whole ? 3u : 1u); ++number) {
      v1::Omitted& omitted = *record.mutable_insert()->mutable_after_gaps()->add_omitted();
      omitted.set_number(number);
      omitted.set_sqlstate("22012");
      omitted.set_reason("division by zero");
    }
    if (!whole) record.mutable_insert()->set_after(std::string(RowBuilder().integer(2, 7)));
    stream.add(record);
    stream.insert(1, RowBuilder().integer(1, 8));
    stream.commit(200);
    unit.frames = stream.frames();
    world->log.units.push_back(std::move(unit));
    return world;
  };
  const auto world = world_with(true);
  world->run();
  const auto records = world->kafka.read("shop.public.t1", 0);
  ASSERT_FALSE(records.empty());
  EXPECT_FALSE(records[0].has_key);
  topic::v1::Row row;
  ASSERT_TRUE(row.ParseFromString(records[0].value));
  EXPECT_EQ(row.omitted_after_size(), 3);
  ASSERT_EQ(world->source.parked.size(), 1u);
  EXPECT_EQ(world->source.parked[0].column, "key");
  EXPECT_EQ(world->source.parked[0].number, 1u);
  EXPECT_EQ(world->source.parked[0].reason, "division by zero (22012)");
  EXPECT_EQ(world_with(false)->stopped_by(), "key_unreadable");
}

TEST(Publisher, ExpectsTheTopicsThatItHasWrittenTo) {
  World world;
  world.insert(5, 200, {1});
  world.run();
  EXPECT_TRUE(world.topics.expected.empty()) << "at the first start nobody waits for what is not there";
  world.start();
  world.run();
  EXPECT_EQ(world.topics.expected, (std::set<std::string>{"shop.public.t1", "shop.transaction"}));
}

// --- Witnesses
// --------------------------------------------------------------------------------------------------------

Progress recorded(World& world) {
  return *world.progress.read("home", ProgressStore::Reach::readable).progress;
}

// Until a witness that is none of these is recorded, and the publisher has seen that.
void run_past(World& world, Witnesses witnesses) {
  for (int i = 0; i < 100'000; ++i) {
    const auto stored = world.progress.read("home", ProgressStore::Reach::readable).progress;
    world.publisher->step();
    if (stored && !stored->witness.empty() && !witnesses.have(stored->witness)) return;
  }
  FAIL() << "no other witness was recorded";
}

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

// A copy of the server with its slot, as it was at one moment, and a publisher of its own.
struct Clone {
  test::ModelLog log;
  test::ModelSource source{log};
  std::unique_ptr<RowFormat> format = make_protobuf_format();

  explicit Clone(const World& original) {
    log.units = original.log.units;
    log.confirmed = original.log.confirmed;
    log.wal_end = original.log.wal_end;
    source.witnesses = original.source.witnesses;
    source.reports = original.source.reports;
  }
  std::string stopped_by(World& world) {
    Publisher publisher(world.settings,
                        {log, world.producers, world.progress, world.topics, source, *format, world.clock, nullptr},
                        "of the clone");
    try {
      for (int i = 0; i < 100; ++i) publisher.step();
    } catch (const PublishStopped& stopped) {
      return stopped.reason();
    }
    return "nothing";
  }
};

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

// At any moment a copy is made, and started at any later one. Once a witness is recorded that was made after it, it
// publishes nothing and fences nobody; the original, whatever becomes of it, is never taken for a clone, nor is a
// standby that ends at P.
TEST(Publisher, TellsClonesUnderRandomFailures) {
  int told = 0;
  for_each_seed([&](uint64_t seed) {
    std::mt19937_64 random(seed);
    const auto below = [&](uint64_t bound) { return random() % bound; };
    World world;
    world.log.wal_end = Lsn(100);
    world.settings.batch.records_max = 1 + below(20);
    world.settings.idle_interval = std::chrono::milliseconds(10);
    world.settings.witness_interval = std::chrono::milliseconds(1 + below(300));
    world.start();
    const RandomFailures failures{world, below, 3 + below(60), below(12)};
    world.kafka.repeat_commit = [&] { return failures.strikes(); };
    world.kafka.delay_is_over = [&] { return below(3) == 0; };
    int renewed_in = 0;
    world.source.before_renewal = [&] {
      if (below(8) == 0) throw PgError("55P03", "canceling statement due to lock timeout");
      renewed_in = world.kafka.epoch;
    };
    const auto& renewals = world.source.renewals;
    std::optional<Clone> clone;
    size_t renewals_of_the_clone = 0;
    bool is_told = false;
    world.kafka.after_commit = [&, fail = world.kafka.after_commit] {
      const Progress progress = recorded(world);
      // One that a producer leaves behind is another's only once it has renewed it.
      if (clone && renewals.size() > renewals_of_the_clone && renewed_in == world.kafka.epoch &&
          progress.lsn >= renewals.back().first)
        is_told = true;
      const auto behind =
          std::find_if(renewals.rbegin(), renewals.rend(), [&](const auto& one) { return one.first <= progress.lsn; });
      if (!progress.witness.empty()) {
        ASSERT_NE(behind, renewals.rend());
        EXPECT_TRUE(behind->second.have(progress.witness)) << "of a standby that ends at " << progress.lsn.value();
      }
      fail();
    };
    const uint64_t rounds = 10 + below(30);
    const uint64_t copied_in = below(rounds), started_in = copied_in + below(rounds - copied_in);
    for (uint64_t round = 0; round < rounds; ++round) {
      if (below(2) == 0) {
        world.log.wal_end = Lsn(world.log.wal_end.value() + 10 + below(100));
        std::vector<int> keys(1 + (below(6) == 0 ? below(60) : below(4)));
        world.insert(10 + round, world.log.wal_end.value(), keys, 1 + below(8));
      }
      try {
        for (uint64_t steps = below(60); steps > 0; --steps) world.publisher->step();
        if (below(10) == 0) world.start();
      } catch (const Killed&) {
        world.start();
      }
      if (round == copied_in) {
        clone.emplace(world);
        renewals_of_the_clone = renewals.size();
      }
      if (round < started_in || !is_told || below(2) == 0) continue;
      clone->log.wal_end = Lsn(world.log.wal_end.value() + 1'000);
      const int epoch = world.kafka.epoch;
      const auto committed = world.kafka.committed.size();
      EXPECT_EQ(clone->stopped_by(world), "other_history");
      EXPECT_EQ(world.kafka.epoch, epoch);
      EXPECT_EQ(world.kafka.committed.size(), committed);
      ++told;
    }
    world.insert(100, world.log.wal_end.value() + 10, {1});
    world.log.wal_end = world.log.units.back().end;
    for (int attempt = 0; attempt < 100; ++attempt) {
      try {
        world.run();
        break;
      } catch (const Killed&) {
        world.start();
      }
    }
    world.expect_exactly_once();
  });
  EXPECT_TRUE(told > 100 || std::getenv("ANABRANCH_SEED") != nullptr) << told;
}

// Everything random: sizes, failures of every call before and after it has had its effect, kills, slots that forget.
TEST(Publisher, IsExactUnderRandomFailures) {
  for_each_seed([](uint64_t seed) {
    std::mt19937_64 random(seed);
    const auto below = [&](uint64_t bound) { return random() % bound; };
    World world;
    world.settings.batch.records_max = 1 + below(20);
    world.settings.batch.bytes_max = 50 + below(500);
    world.settings.batch_behind.records_max = 1 + below(100);
    world.settings.part_records_max = 1 + below(20);
    world.settings.part_bytes_max = 50 + below(500);
    world.start();
    uint64_t lsn = 100;
    for (uint64_t unit = 0; unit < 3 + below(15); ++unit) {
      lsn += 10 + below(100);
      std::vector<int> keys(1 + (below(6) == 0 ? below(60) : below(4)));
      for (int& key : keys) key = static_cast<int>(below(10));
      world.insert(10 + unit, lsn, keys, 1 + below(8));
    }
    const RandomFailures failures{world, below, 3 + below(60), below(12)};
    // Near, far behind, and from one to the other within a Kafka transaction.
    world.kafka.before_step = [&, fail = world.kafka.before_step](const char* step) {
      if (below(20) == 0) world.clock.postgres_us = below(2) == 0 ? 0 : 60'000'000;
      fail(step);
    };
    world.kafka.repeat_commit = [&] { return failures.strikes(); };
    world.kafka.delay_is_over = [&] { return below(3) == 0; };
    world.kafka.after_commit = [&, fail = world.kafka.after_commit,
                                reached = std::tuple<Lsn, uint32_t, uint64_t>()]() mutable {
      const Progress progress = *world.progress.read("home", ProgressStore::Reach::readable).progress;
      const std::tuple now(progress.lsn, progress.parts, progress.records);
      EXPECT_GE(now, reached) << "what is recorded never falls";
      reached = now;
      fail();
    };
    for (int round = 0; round < 100; ++round) {
      try {
        world.run();
        break;
      } catch (const Killed&) {
        // A slot is saved at checkpoints only; what was confirmed since is forgotten.
        if (below(2) == 0 && world.log.confirmed > Lsn(100))
          world.log.confirmed = Lsn(100 + below(world.log.confirmed.value() - 100));
        world.start();
      }
    }
    world.expect_exactly_once();
  });
}

}  // namespace
}  // namespace anabranch
