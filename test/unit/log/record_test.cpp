// Records that protoc's classes wrote are read as they are; what no decoder writes is refused by name.
#include "sidecar/log/record.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "test/unit/log/stream_builder.hpp"

namespace anabranch {
namespace {

using test::RowBuilder;
using test::StreamBuilder;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

std::string body_of(const google::protobuf::Message& message) {
  return message.SerializeAsString();
}

LogError error_of(auto body) {
  try {
    body();
  } catch (const LogError& error) {
    return error;
  }
  ADD_FAILURE() << "no LogError";
  return LogError(LogError::Kind::gap, "none");
}

TEST(Record, ReadsBegin) {
  v1::Begin begin;
  begin.set_format(1);
  begin.set_xid(0x100000005);
  begin.set_commit_time(-5);
  begin.set_commit_lsn(0x10000000A);
  begin.set_origin("elsewhere");
  begin.set_end_lsn(0x10000000F);
  const std::string body = body_of(begin);
  const BeginRecord read = read_begin(body);
  EXPECT_EQ(read.xid, 0x100000005u);
  EXPECT_EQ(read.commit_time, -5);
  EXPECT_EQ(read.commit_lsn, Lsn(0x10000000A));
  EXPECT_EQ(read.origin, "elsewhere");
  EXPECT_EQ(read.end_lsn, Lsn(0x10000000F));
}

TEST(Record, RefusesANewerFormatByNumber) {
  v1::Begin begin;
  begin.set_format(2);
  begin.set_xid(5);
  begin.set_commit_lsn(9);
  const LogError error = error_of([&] { read_begin(body_of(begin)); });
  EXPECT_EQ(error.kind(), LogError::Kind::unsupported);
  EXPECT_THAT(error.what(), HasSubstr("format 2"));
}

TEST(Record, ReadsCommit) {
  v1::Commit commit;
  commit.set_end_lsn(77);
  commit.set_changes(3);
  commit.set_crc(0xFFFFFFFE);
  const CommitRecord read = read_commit(body_of(commit));
  EXPECT_EQ(read.end_lsn, Lsn(77));
  EXPECT_EQ(read.changes, 3u);
  EXPECT_EQ(read.crc, 0xFFFFFFFEu);
}

TEST(Record, ReadsRelation) {
  v1::Relation relation;
  relation.set_oid(4'000'000'000);
  relation.set_generation(2);
  relation.set_schema("Odd \"schema\"");
  relation.set_name("t");
  relation.set_replica_identity(v1::REPLICA_IDENTITY_INDEX);
  v1::Column& first = *relation.add_columns();
  first.set_number(2);
  first.set_name("a");
  first.set_type_oid(1043);
  first.set_type_schema("pg_catalog");
  first.set_type_name("varchar");
  first.set_type_modifier(14);
  first.set_in_identity(true);
  first.set_in_primary_key(true);
  v1::Column& second = *relation.add_columns();
  second.set_number(1600);
  second.set_type_modifier(-1);
  second.set_encoding(v1::ENCODING_RAW_TEXT);
  relation.add_columns()->set_number(1601);
  const Relation read = read_relation(body_of(relation));
  EXPECT_EQ(read.oid, 4'000'000'000u);
  EXPECT_EQ(read.generation, 2u);
  EXPECT_EQ(read.qualified_name(), "\"Odd \"\"schema\"\"\".t");
  EXPECT_EQ(read.replica_identity, ReplicaIdentity::index);
  ASSERT_EQ(read.columns.size(), 3u);
  ASSERT_NE(read.column(2), nullptr);
  EXPECT_EQ(read.column(2)->name, "a");
  EXPECT_EQ(read.column(2)->type_oid, 1043u);
  EXPECT_EQ(read.column(2)->type_name, "varchar");
  EXPECT_EQ(read.column(2)->type_modifier, 14);
  EXPECT_TRUE(read.column(2)->in_identity);
  EXPECT_TRUE(read.column(2)->in_primary_key);
  EXPECT_FALSE(read.column(1600)->in_primary_key);
  EXPECT_EQ(read.description, body_of(relation)) << "the very bytes go into the topic of relations";
  EXPECT_EQ(read.column(1600)->type_modifier, -1);
  EXPECT_EQ(read.column(1600)->encoding, Encoding::raw_text);
  EXPECT_EQ(read.column(1601)->type_modifier, 0);
  EXPECT_EQ(read.column(3), nullptr);
  EXPECT_EQ(read.column(1602), nullptr);
}

TEST(Record, RefusesAnEncodingItDoesNotKnow) {
  v1::Relation relation;
  relation.set_oid(1);
  relation.add_columns()->set_number(1);
  std::string body = body_of(relation);
  relation.mutable_columns(0)->set_encoding(static_cast<v1::Encoding>(11));
  EXPECT_EQ(error_of([&] { read_relation(body_of(relation)); }).kind(), LogError::Kind::unsupported);
}

TEST(Record, ReadsRows) {
  RowRecord row;
  v1::Update update;
  update.set_relation(7);
  update.set_before_kind(v1::BEFORE_KEY);
  update.set_before("old");
  update.set_after("new");
  update.add_unchanged(3);
  update.add_unchanged(300);
  update.mutable_before_gaps()->add_fragmented(9);
  v1::Omitted& omitted = *update.mutable_after_gaps()->add_omitted();
  omitted.set_number(4);
  omitted.set_sqlstate("54000");
  omitted.set_reason("too large");
  const std::string updated = body_of(update);
  read_row(RecordKind::update, updated, row);
  EXPECT_EQ(row.relation, 7u);
  EXPECT_EQ(row.before_kind, BeforeKind::key);
  EXPECT_EQ(row.before, "old");
  EXPECT_EQ(row.after, "new");
  EXPECT_THAT(row.unchanged, ElementsAre(3, 300));
  EXPECT_THAT(row.before_gaps.fragmented, ElementsAre(9));
  ASSERT_EQ(row.after_gaps.omitted.size(), 1u);
  EXPECT_EQ(row.after_gaps.omitted[0].number, 4u);
  EXPECT_EQ(row.after_gaps.omitted[0].sqlstate, "54000");
  EXPECT_EQ(row.after_gaps.omitted[0].reason, "too large");
  EXPECT_TRUE(row.has_details);

  v1::Delete deleted;
  deleted.set_relation(8);
  deleted.set_before_kind(v1::BEFORE_FULL);
  deleted.set_before("gone");
  const std::string removed = body_of(deleted);
  read_row(RecordKind::remove, removed, row);
  EXPECT_EQ(row.relation, 8u);
  EXPECT_EQ(row.before_kind, BeforeKind::full);
  EXPECT_EQ(row.before, "gone");
  EXPECT_EQ(row.after, "");
  EXPECT_FALSE(row.has_details);
  EXPECT_TRUE(row.unchanged.empty() && row.before_gaps.fragmented.empty() && row.after_gaps.omitted.empty());

  v1::Insert insert;
  insert.set_relation(9);
  insert.set_after("here");
  insert.mutable_after_gaps()->add_fragmented(2);
  const std::string inserted = body_of(insert);
  read_row(RecordKind::insert, inserted, row);
  EXPECT_EQ(row.before_kind, BeforeKind::none);
  EXPECT_EQ(row.after, "here");
  EXPECT_THAT(row.after_gaps.fragmented, ElementsAre(2));
  EXPECT_TRUE(row.before_gaps.fragmented.empty());
}

TEST(Record, ReadsTheOthers) {
  v1::Truncate truncate;
  truncate.add_relations()->set_relation(1);
  truncate.add_relations()->set_relation(2);
  truncate.mutable_relations(1)->set_leaf(22);
  truncate.set_cascade(true);
  const TruncateRecord truncated = read_truncate(body_of(truncate));
  ASSERT_EQ(truncated.relations.size(), 2u);
  EXPECT_EQ(truncated.relations[0].leaf, 0u);
  EXPECT_EQ(truncated.relations[1].leaf, 22u);
  EXPECT_TRUE(truncated.cascade);
  EXPECT_FALSE(truncated.restart_identity);

  v1::Message message;
  message.set_prefix("anabranch");
  message.set_content(std::string("a\0b", 3));
  message.set_lsn(55);
  message.set_omitted_bytes(9);
  message.set_prefix_bytes(70'000);
  message.set_sqlstate("22P02");
  message.set_reason("no row");
  const std::string message_body = body_of(message);
  const MessageRecord told = read_message(message_body);
  EXPECT_FALSE(told.transactional);
  EXPECT_EQ(told.prefix, "anabranch");
  EXPECT_EQ(told.content, std::string_view("a\0b", 3));
  EXPECT_EQ(told.lsn, Lsn(55));
  EXPECT_EQ(told.omitted_bytes, 9u);
  EXPECT_EQ(told.prefix_bytes, 70'000u);
  EXPECT_EQ(told.sqlstate, "22P02");
  EXPECT_EQ(told.reason, "no row");

  v1::Unselected unselected;
  unselected.set_relation(12);
  EXPECT_EQ(read_unselected(body_of(unselected)), 12u);

  v1::Fragment fragment;
  fragment.set_before(true);
  fragment.set_number(3);
  fragment.set_offset(1ull << 32);
  fragment.set_total(1ull << 33);
  fragment.set_data("piece");
  fragment.set_relation(4);
  const std::string fragment_body = body_of(fragment);
  const FragmentRecord piece = read_fragment(fragment_body);
  EXPECT_TRUE(piece.before);
  EXPECT_EQ(piece.number, 3u);
  EXPECT_EQ(piece.offset, 1ull << 32);
  EXPECT_EQ(piece.total, 1ull << 33);
  EXPECT_EQ(piece.data, "piece");
  EXPECT_EQ(piece.relation, 4u);
}

TEST(Record, PassesOverFieldsOfNewerDecoders) {
  v1::Commit commit;
  commit.set_end_lsn(77);
  EXPECT_EQ(read_commit(body_of(commit) + std::string(RowBuilder().integer(99, 1).text(100, "x"))).end_lsn, Lsn(77));
}

TEST(Record, WalksAFrame) {
  StreamBuilder stream;
  stream.begin(5, 100);
  stream.relation(1);
  stream.insert(1, RowBuilder().integer(1, 1));
  stream.commit(120);
  const std::string frame = stream.frame();
  FrameReader reader(frame);
  std::vector<RecordKind> kinds;
  while (const auto record = reader.next()) kinds.push_back(record->kind);
  EXPECT_THAT(kinds, ElementsAre(RecordKind::begin, RecordKind::relation, RecordKind::insert, RecordKind::commit));
  EXPECT_FALSE(reader.next());
  EXPECT_FALSE(FrameReader("").next());
}

TEST(Record, RefusesAKindItDoesNotKnowByNumber) {
  const std::string inner = RowBuilder().text(11, "later");
  const std::string frame = RowBuilder().text(1, inner);
  const LogError error = error_of([&] { FrameReader(frame).next(); });
  EXPECT_EQ(error.kind(), LogError::Kind::unsupported);
  EXPECT_THAT(error.what(), HasSubstr("kind 11"));
}

TEST(Record, RefusesDamage) {
  const std::vector<std::string> frames = {
      RowBuilder().text(2, "not a record"),
      RowBuilder().integer(1, 3),
      RowBuilder().text(1, ""),
      RowBuilder().text(1, std::string(RowBuilder().text(3, "").text(3, ""))),
      RowBuilder().text(1, std::string(RowBuilder().integer(3, 1))),
      std::string("\x0a\x05xx", 4),
      std::string("\x0a", 1),
      std::string("\x00\x00", 2),
  };
  for (const std::string& frame : frames)
    EXPECT_EQ(error_of([&] { FrameReader(frame).next(); }).kind(), LogError::Kind::damaged);
  RowRecord row;
  const std::string not_a_row = RowBuilder().text(1, "x");
  EXPECT_EQ(error_of([&] { read_row(RecordKind::insert, not_a_row, row); }).kind(), LogError::Kind::damaged);
  EXPECT_EQ(error_of([&] { read_begin(""); }).kind(), LogError::Kind::unsupported);
  EXPECT_EQ(error_of([&] { read_commit(""); }).kind(), LogError::Kind::damaged);
  EXPECT_EQ(error_of([&] { read_relation(""); }).kind(), LogError::Kind::damaged);
}

}  // namespace
}  // namespace anabranch
