// What stands in topics for good: their partitions, keys and values.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <librdkafka/rdkafka.h>

#include <random>

#include "sidecar/publish/format.hpp"
#include "sidecar/publish/partitioner.hpp"
#include "sidecar/publish/progress.hpp"
#include "sidecar/publish/rows.hpp"
#include "sidecar/publish/tables.hpp"
#include "sidecar/topic/topic.pb.h"
#include "test/unit/log/stream_builder.hpp"

namespace anabranch {
namespace {

using test::RowBuilder;

TEST(Partitioner, IsThatOfTheJavaClient) {
  std::mt19937 random(1);
  for (int i = 0; i < 10'000; ++i) {
    std::string key(random() % 40, '\0');
    for (char& c : key) c = static_cast<char>(random());
    const int32_t partitions = 1 + static_cast<int32_t>(random() % 50);
    ASSERT_EQ(partition_of(key, partitions),
              rd_kafka_msg_partitioner_murmur2(nullptr, key.data(), key.size(), partitions, nullptr, nullptr));
  }
}

Relation relation_of(std::vector<Column> columns, ReplicaIdentity identity) {
  Relation relation;
  relation.schema = "public";
  relation.name = "t";
  relation.columns = std::move(columns);
  relation.replica_identity = identity;
  return relation;
}

Column column(uint32_t number, bool in_identity, bool in_primary_key) {
  Column column;
  column.number = number;
  column.name = "c" + std::to_string(number);
  column.in_identity = in_identity;
  column.in_primary_key = in_primary_key;
  return column;
}

TEST(KeyColumns, AreThoseThatOldRowsHave) {
  using List = std::vector<uint32_t>;
  const auto by_default = relation_of({column(1, false, false), column(3, true, true)}, ReplicaIdentity::by_default);
  EXPECT_EQ(choose_key_columns(by_default, false), List{3});
  const auto full = relation_of({column(1, true, true), column(2, true, false)}, ReplicaIdentity::full);
  EXPECT_EQ(choose_key_columns(full, false), List{1});
  const auto index = relation_of({column(1, false, true), column(2, true, false)}, ReplicaIdentity::index);
  EXPECT_EQ(choose_key_columns(index, false), List{2}) << "deletes tell the index's columns alone";
  const auto nothing = relation_of({column(1, false, true), column(2, false, false)}, ReplicaIdentity::nothing);
  EXPECT_EQ(choose_key_columns(nothing, false), List{1});
  const auto keyless = relation_of({column(1, true, false), column(2, true, false)}, ReplicaIdentity::full);
  EXPECT_EQ(choose_key_columns(keyless, false), List{});
  EXPECT_EQ(choose_key_columns(keyless, true), (List{1, 2}));
}

TEST(Rows, AreFilledAndEmptiedByColumn) {
  const std::string row = RowBuilder().integer(1, 1).integer(4, 4), source = RowBuilder().integer(1, 9).integer(2, 2);
  std::vector<uint32_t> missing;
  EXPECT_EQ(fill_columns(row, source, {2, 3}, missing),
            std::string(RowBuilder().integer(1, 1).integer(2, 2).integer(4, 4)));
  EXPECT_EQ(missing, std::vector<uint32_t>{3});
  EXPECT_EQ(without_columns(row, {4}), std::string(RowBuilder().integer(1, 1)));
}

TEST(ProtobufFormat, WritesWhatTheProtoSays) {
  const Relation relation = relation_of({column(1, true, true), column(2, false, false)}, ReplicaIdentity::by_default);
  const auto format = make_protobuf_format()->open({&relation, 7, "shop.public.t", {1}});
  const std::string row = RowBuilder().integer(1, 5).integer(2, 6);
  std::string key;
  format->key(row, key);
  EXPECT_EQ(key, std::string(RowBuilder().integer(1, 5)));
  EXPECT_THROW(format->key("\x0a\xff", key), FormatError);

  const std::vector<uint32_t> unchanged{3, 1600};
  const std::vector<Gap> gaps{{4, "22000", "why"}};
  PublishedChange change;
  change.operation = RowOperation::update;
  change.before_kind = BeforeKind::key;
  change.before = key;
  change.after = row;
  change.unchanged = &unchanged;
  change.before_gaps = &gaps;
  change.after_gaps = &gaps;
  change.leaf = 9;
  change.cascade = change.restart_identity = true;
  std::string value = "before";
  format->value({}, change, value);
  ASSERT_EQ(value.substr(0, 6), "before");
  topic::v1::Row read;
  ASSERT_TRUE(read.ParseFromString(value.substr(6)));
  EXPECT_EQ(read.operation(), topic::v1::Row::UPDATE);
  EXPECT_EQ(read.before_kind(), topic::v1::Row::KEY);
  EXPECT_EQ(read.before(), key);
  EXPECT_EQ(read.after(), row);
  EXPECT_THAT(read.unchanged(), ::testing::ElementsAre(3, 1600));
  ASSERT_EQ(read.omitted_before_size(), 1);
  EXPECT_EQ(read.omitted_after(0).sqlstate(), "22000");
  EXPECT_EQ(read.omitted_after(0).reason(), "why");
  EXPECT_EQ(read.omitted_after(0).number(), 4u);
  EXPECT_EQ(read.leaf(), 9u);
  EXPECT_TRUE(read.cascade());
  EXPECT_TRUE(read.restart_identity());
  EXPECT_EQ(read.SerializeAsString(), value.substr(6));
}

TEST(ProgressRecord, ComesBackAsItWentOut) {
  Progress progress;
  progress.lsn = Lsn(5);
  progress.part_end_lsn = Lsn(9);
  progress.parts = 2;
  progress.records = 77;
  progress.crc = 0xfffffffe;
  progress.transaction_offset = 41;
  progress.cluster_id = "c";
  progress.run_id = "r";
  progress.system_identifier = "700";
  progress.timeline = 3;
  progress.slot = "s";
  progress.instance = "i";
  progress.version = "v";
  progress.adopted_from = "699";
  progress.witness = "w";
  const Progress read = read_progress(write_progress(progress));
  EXPECT_EQ(read.lsn, progress.lsn);
  EXPECT_EQ(read.part_end_lsn, progress.part_end_lsn);
  EXPECT_EQ(read.parts, 2u);
  EXPECT_EQ(read.records, 77u);
  EXPECT_EQ(read.crc, 0xfffffffe);
  EXPECT_EQ(read.transaction_offset, 41);
  EXPECT_EQ(read.adopted_from, "699");
  EXPECT_EQ(read.instance, "i");
  EXPECT_EQ(read.witness, "w");
  EXPECT_THROW(read_progress("\xff"), std::invalid_argument);
  EXPECT_THROW(read_progress(""), std::invalid_argument);
  topic::v1::Progress newer;
  newer.set_format(2);
  newer.set_lsn(5);
  EXPECT_THROW(read_progress(newer.SerializeAsString()), std::invalid_argument);
  const TopicPosition position = read_topic_position(write_topic_position({"shop.public.t", {0, 5}, {}}));
  EXPECT_EQ(position.topic, "shop.public.t");
  EXPECT_EQ(position.next_offsets, (std::vector<int64_t>{0, 5}));
}

TEST(TopicNames, MayBeChosenForATable) {
  const TopicNames names("p");
  const ChosenTopics chosen = {{"a.\"b.c\"", "first"}, {"a.b.c", "second"}, {"public.t", "third"}};
  EXPECT_EQ(topic_of_table(names, chosen, "a", "b.c", "a.\"b.c\""), "p.first");
  EXPECT_EQ(topic_of_table(names, chosen, "a.b", "c", "\"a.b\".c"), "p.second");
  EXPECT_EQ(topic_of_table(names, chosen, "public", "other", "public.other"), "p.public.other");
  EXPECT_EQ(latest_topic_of_table(names, chosen, "public", "t", "public.t"), "p.third.latest");
  EXPECT_EQ(latest_topic_of_table(names, chosen, "public", "u", "public.u"), "p.public.u.latest");
}

TEST(Topics, HaveOnePolicyAKind) {
  EXPECT_STREQ(cleanup_policy(TopicKind::data), "delete");
  EXPECT_STREQ(cleanup_policy(TopicKind::single), "delete");
  EXPECT_STREQ(cleanup_policy(TopicKind::compacted), "compact");
  EXPECT_STREQ(cleanup_policy(TopicKind::latest), "compact");
}

}  // namespace
}  // namespace anabranch
