#include "sidecar/publish/numbering.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace anabranch {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;

Column column(uint32_t number, const std::string& name, const std::string& type = "text") {
  Column made;
  made.number = number;
  made.name = name;
  made.type_schema = "pg_catalog";
  made.type_name = type;
  return made;
}

Relation table(uint32_t oid, std::vector<Column> columns) {
  Relation made;
  made.oid = oid;
  made.columns = std::move(columns);
  return made;
}

TEST(Numbering, IsReadAsItWasWritten) {
  TopicPosition position{"t", {1, 2}, numbering_of(table(7, {column(1, "a"), column(4, "b", "int4")}), "700", {})};
  const TopicPosition read = read_topic_position(write_topic_position(position));
  EXPECT_EQ(read.numbering.relation_oid, 7u);
  EXPECT_EQ(read.numbering.system_identifier, "700");
  EXPECT_EQ(read.numbering.highest_number, 4u);
  ASSERT_EQ(read.numbering.columns.size(), 2u);
  EXPECT_EQ(read.numbering.columns[1].name, "b");
  EXPECT_EQ(read.numbering.columns[1].type, "pg_catalog.int4");
}

TEST(Numbering, OfTheSameTableNeverChanges) {
  const TopicNumbering before = numbering_of(table(7, {column(1, "a"), column(2, "b")}), "700", {});
  EXPECT_THAT(renumbered(table(7, {column(2, "renamed", "int4"), column(3, "new")}), "700", before), IsEmpty());
}

TEST(Numbering, OfATableMadeAnewMayBeTheSame) {
  const TopicNumbering before = numbering_of(table(7, {column(1, "a"), column(2, "b")}), "700", {});
  EXPECT_THAT(renumbered(table(8, {column(1, "a"), column(2, "b"), column(3, "c")}), "700", before), IsEmpty());
  EXPECT_THAT(renumbered(table(8, {column(1, "a")}), "700", before), IsEmpty());
  EXPECT_THAT(renumbered(table(7, {column(1, "a"), column(2, "b")}), "800", before), IsEmpty());
  EXPECT_THAT(renumbered(table(8, {column(1, "x")}), "700", {}), IsEmpty()) << "of an earlier version: not known";
}

TEST(Numbering, OfATableMadeAnewMayDiffer) {
  const TopicNumbering before = numbering_of(table(7, {column(1, "a"), column(2, "b")}), "700", {});
  EXPECT_THAT(renumbered(table(8, {column(1, "b")}), "700", before), HasSubstr("column \"b\""));
  EXPECT_THAT(renumbered(table(8, {column(1, "a", "int4")}), "700", before), HasSubstr("pg_catalog.int4"));
  EXPECT_THAT(renumbered(table(7, {column(1, "x")}), "800", before), HasSubstr("column \"x\""))
      << "another server's oid";
}

TEST(Numbering, RemembersWhatWasDropped) {
  const TopicNumbering first = numbering_of(table(7, {column(1, "a"), column(2, "b"), column(3, "c")}), "700", {});
  const TopicNumbering before = numbering_of(table(7, {column(1, "a"), column(3, "c")}), "700", first);
  // As a dump restores it: the gap is closed.
  EXPECT_THAT(renumbered(table(8, {column(1, "a"), column(2, "c")}), "700", before), HasSubstr("had been dropped"));
  const TopicNumbering shorter = numbering_of(table(7, {column(1, "a")}), "700", before);
  EXPECT_EQ(shorter.highest_number, 3u);
}

}  // namespace
}  // namespace anabranch
