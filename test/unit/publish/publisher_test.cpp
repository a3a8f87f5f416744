// The publisher against models of Kafka, the slot and the database. Whatever fails and wherever, what a read_committed
// reader sees in the end is what the source committed: each unit once, whole, in order.
#include "sidecar/publish/publisher.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>

#include "decoder/record.pb.h"
#include "sidecar/publish/batch.hpp"
#include "sidecar/topic/topic.pb.h"
#include "test/unit/publish/publisher_world.hpp"

namespace anabranch {
namespace {

using test::ModelRecord;
using test::RowBuilder;
using test::SourceUnit;
using test::StreamBuilder;
using test::World;
using ::testing::HasSubstr;

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

}  // namespace
}  // namespace anabranch
