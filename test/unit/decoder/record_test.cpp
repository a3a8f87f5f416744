// The decoder's records: the bytes that it writes, parsed with protoc's classes.
#include "decoder/record.hpp"

#include <gtest/gtest.h>

#include <cstdint>
#include <limits>
#include <random>
#include <string>
#include <vector>

#include "decoder/record.pb.h"

namespace anabranch::record {
namespace {

// A row for which the bytes are given, in place of the decoder's own.
struct GivenRow {
  size_t size;
  std::string bytes;
  explicit GivenRow(std::string given) : size(given.size()), bytes(std::move(given)) {}
  void write(wire::Writer& writer) const { writer.raw(bytes.data(), bytes.size()); }
};

// A frame of one record; also checks that the sizes promised are the sizes written, and that protobuf would write the
// same.
template <typename Body>
v1::Record parsed(const Body& body) {
  Framed<Body> framed(body);
  std::string bytes(framed.size + 8, '\xee');
  wire::Writer writer(bytes.data());
  char* payload = framed.write(writer);
  EXPECT_EQ(static_cast<size_t>(writer.at() - bytes.data()), framed.size);
  EXPECT_EQ(bytes.substr(framed.size), std::string(8, '\xee')) << "wrote past its size";
  EXPECT_EQ(static_cast<size_t>(writer.at() - payload), framed.payload_size);
  bytes.resize(framed.size);
  v1::Frame frame;
  EXPECT_TRUE(frame.ParseFromString(bytes));
  EXPECT_EQ(frame.records_size(), 1);
  EXPECT_EQ(frame.SerializeAsString(), bytes);
  EXPECT_EQ(frame.records(0).SerializeAsString(), std::string(payload, framed.payload_size));
  return frame.records(0);
}

constexpr uint32_t number_max = std::numeric_limits<uint32_t>::max();
constexpr uint64_t lsn_max = std::numeric_limits<uint64_t>::max();

TEST(Record, Begin) {
  Begin begin;
  begin.xid = uint64_t{3} << 32 | 7;
  begin.commit_time = std::numeric_limits<int64_t>::min();
  begin.commit_lsn = lsn_max;
  begin.origin = "node \xc3\xa9";
  begin.end_lsn = lsn_max - 1;
  v1::Record record = parsed(begin);
  ASSERT_EQ(record.kind_case(), v1::Record::kBegin);
  EXPECT_EQ(record.begin().format(), 1u);
  EXPECT_EQ(record.begin().xid(), begin.xid);
  EXPECT_EQ(record.begin().commit_time(), begin.commit_time);
  EXPECT_EQ(record.begin().commit_lsn(), lsn_max);
  EXPECT_EQ(record.begin().origin(), begin.origin);
  EXPECT_EQ(record.begin().end_lsn(), lsn_max - 1);
  EXPECT_EQ(parsed(Begin{}).begin().format(), 1u);
}

TEST(Record, Commit) {
  v1::Record record = parsed(Commit{lsn_max, 1, number_max});
  ASSERT_EQ(record.kind_case(), v1::Record::kCommit);
  EXPECT_EQ(record.commit().end_lsn(), lsn_max);
  EXPECT_EQ(record.commit().changes(), 1u);
  EXPECT_EQ(record.commit().crc(), number_max);
  EXPECT_EQ(parsed(Commit{}).kind_case(), v1::Record::kCommit) << "a record with nothing but defaults is still there";
}

TEST(Record, Relation) {
  Column columns[2];
  columns[0] = {1, "id", 23, "pg_catalog", "int4", -1, Encoding::integer, true, true};
  columns[1] = {1600, "b\"c", number_max, "public", "numeric", 655366, Encoding::text, false, false};
  Relation relation;
  relation.oid = number_max;
  relation.generation = 2;
  relation.schema = "public";
  relation.name = std::string_view("with\0zero", 9);
  relation.replica_identity = ReplicaIdentity::full;
  relation.columns = {columns, 2};
  v1::Record record = parsed(relation);
  ASSERT_EQ(record.kind_case(), v1::Record::kRelation);
  EXPECT_EQ(record.relation().oid(), number_max);
  EXPECT_EQ(record.relation().generation(), 2u);
  EXPECT_EQ(record.relation().name(), relation.name);
  EXPECT_EQ(record.relation().replica_identity(), v1::REPLICA_IDENTITY_FULL);
  ASSERT_EQ(record.relation().columns_size(), 2);
  EXPECT_TRUE(record.relation().columns(0).in_identity());
  EXPECT_TRUE(record.relation().columns(0).in_primary_key());
  EXPECT_FALSE(record.relation().columns(1).in_primary_key());
  EXPECT_EQ(record.relation().columns(0).encoding(), v1::ENCODING_INTEGER);
  EXPECT_EQ(record.relation().columns(0).type_modifier(), -1);
  EXPECT_EQ(record.relation().columns(1).number(), 1600u);
  EXPECT_EQ(record.relation().columns(1).type_modifier(), 655366);
  EXPECT_EQ(record.relation().columns(1).type_oid(), number_max);
  EXPECT_EQ(record.relation().columns(1).encoding(), v1::ENCODING_TEXT);

  std::string body(size_of(relation), '\0');
  wire::Writer writer(body.data());
  record::write(writer, relation);
  EXPECT_EQ(parsed(Encoded<Relation>{body}).relation().SerializeAsString(), body) << "written before, the same bytes";
}

TEST(Record, RowsAreTheirBytesWhateverTheyAre) {
  for (size_t size : {0, 1, 127, 128, 16383, 16384, 2097151, 2097152}) {
    GivenRow row(std::string(size, '\x80'));
    Gaps none;
    EXPECT_EQ(parsed(Insert<GivenRow>{5, row, none}).insert().after(), row.bytes);
    v1::Record record = parsed(Update<GivenRow>{5, BeforeKind::full, row, row, {}, none, none});
    EXPECT_EQ(record.update().before(), row.bytes);
    EXPECT_EQ(record.update().after(), row.bytes);
    EXPECT_EQ(parsed(Delete<GivenRow>{5, BeforeKind::key, row, none}).delete_().before(), row.bytes);
  }
}

TEST(Record, UpdateWithEverything) {
  uint32_t unchanged[] = {1, 127, 128, 1600};
  uint32_t fragmented[] = {3, 300};
  Omitted omitted[] = {{7, "54000", "out of memory"}, {8, "22P05", ""}};
  Gaps before_gaps, after_gaps;
  before_gaps.fragmented = {fragmented, 2};
  after_gaps.omitted = {omitted, 2};
  GivenRow before("before"), after("after");
  v1::Record record =
      parsed(Update<GivenRow>{number_max, BeforeKind::key, before, after, {unchanged, 4}, before_gaps, after_gaps});
  ASSERT_EQ(record.kind_case(), v1::Record::kUpdate);
  EXPECT_EQ(record.update().relation(), number_max);
  EXPECT_EQ(record.update().before_kind(), v1::BEFORE_KEY);
  ASSERT_EQ(record.update().unchanged_size(), 4);
  EXPECT_EQ(record.update().unchanged(3), 1600u);
  ASSERT_EQ(record.update().before_gaps().fragmented_size(), 2);
  EXPECT_EQ(record.update().before_gaps().fragmented(1), 300u);
  ASSERT_EQ(record.update().after_gaps().omitted_size(), 2);
  EXPECT_EQ(record.update().after_gaps().omitted(0).number(), 7u);
  EXPECT_EQ(record.update().after_gaps().omitted(0).sqlstate(), "54000");
  EXPECT_EQ(record.update().after_gaps().omitted(0).reason(), "out of memory");
}

TEST(Record, DeleteWithoutIdentity) {
  GivenRow nothing("");
  v1::Record record = parsed(Delete<GivenRow>{5, BeforeKind::none, nothing, Gaps{}});
  ASSERT_EQ(record.kind_case(), v1::Record::kDelete);
  EXPECT_EQ(record.delete_().before_kind(), v1::BEFORE_NONE);
  EXPECT_EQ(record.delete_().relation(), 5u);
}

TEST(Record, TruncateMessageUnselectedFragment) {
  Truncated relations[] = {{5, 0}, {number_max, 7}};
  v1::Record truncate = parsed(Truncate{{relations, 2}, true, true});
  ASSERT_EQ(truncate.truncate().relations_size(), 2);
  EXPECT_EQ(truncate.truncate().relations(0).leaf(), 0u);
  EXPECT_EQ(truncate.truncate().relations(1).relation(), number_max);
  EXPECT_TRUE(truncate.truncate().cascade() && truncate.truncate().restart_identity());

  v1::Record message = parsed(Message{true, "prefix", std::string_view("\0\xff", 2), 9, 0});
  EXPECT_TRUE(message.message().transactional());
  EXPECT_EQ(message.message().content(), std::string("\0\xff", 2));
  EXPECT_EQ(parsed(Message{false, "large", {}, 9, uint64_t{1} << 30}).message().omitted_bytes(), uint64_t{1} << 30);

  EXPECT_EQ(parsed(Message{true, "stream", {}, 9, 0, "22P02", "no row"}).message().sqlstate(), "22P02");
  EXPECT_EQ(parsed(Message{true, "stream", {}, 9, 0, "22P02", "no row"}).message().reason(), "no row");

  EXPECT_EQ(parsed(Unselected{number_max}).unselected().relation(), number_max);

  std::string data(1024 * 1024, '\xc3');
  v1::Record fragment = parsed(Fragment{true, 1600, uint64_t{1} << 29, uint64_t{1} << 30, data});
  EXPECT_TRUE(fragment.fragment().before());
  EXPECT_EQ(fragment.fragment().number(), 1600u);
  EXPECT_EQ(fragment.fragment().offset(), uint64_t{1} << 29);
  EXPECT_EQ(fragment.fragment().total(), uint64_t{1} << 30);
  EXPECT_EQ(fragment.fragment().data(), data);
}

TEST(Record, FramesMayBeAppendedToOneAnother) {
  std::string bytes;
  for (uint32_t relation = 1; relation <= 100; ++relation) {
    Unselected body{relation};
    Framed<Unselected> framed(body);
    std::string one(framed.size, '\0');
    wire::Writer writer(one.data());
    framed.write(writer);
    bytes += one;
  }
  v1::Frame frame;
  ASSERT_TRUE(frame.ParseFromString(bytes));
  ASSERT_EQ(frame.records_size(), 100);
  EXPECT_EQ(frame.records(99).unselected().relation(), 100u);
}

TEST(Record, DamagedFramesAreEitherReadOrRefused) {
  GivenRow row(std::string(50, 'r'));
  uint32_t numbers[] = {1, 2, 3};
  Gaps gaps;
  gaps.fragmented = {numbers, 3};
  Update<GivenRow> update{7, BeforeKind::full, row, row, {numbers, 3}, gaps, gaps};
  Framed<Update<GivenRow>> framed(update);
  std::string whole(framed.size, '\0');
  wire::Writer writer(whole.data());
  framed.write(writer);
  std::mt19937 random(42);
  for (int round = 0; round < 20000; ++round) {
    std::string bytes = whole;
    for (unsigned i = 0; i < 1 + random() % 3; ++i) bytes[random() % bytes.size()] = static_cast<char>(random());
    if (random() % 2) bytes.resize(random() % bytes.size());
    // Read with our own reader as deep as it goes; the sanitizers watch.
    std::vector<std::string_view> pending{bytes};
    for (int depth = 0; depth < 4 && !pending.empty(); ++depth) {
      std::vector<std::string_view> next;
      for (std::string_view message : pending) {
        wire::Reader reader(message);
        wire::Field field;
        while (reader.next(field))
          if (field.type == wire::Type::bytes) {
            ASSERT_GE(field.bytes.data(), bytes.data());
            ASSERT_LE(field.bytes.data() + field.bytes.size(), bytes.data() + bytes.size());
            next.push_back(field.bytes);
          }
      }
      pending = next;
    }
  }
}

}  // namespace
}  // namespace anabranch::record
