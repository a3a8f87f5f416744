// Changes as people read them.
#include "sidecar/cli/change_text.hpp"

#include <gtest/gtest.h>

#include "sidecar/publish/format.hpp"

namespace anabranch {
namespace {

struct ChangeTextTest : ::testing::Test {
  Relation relation;
  ChangeText text;
  Change change;

  ChangeTextTest() {
    relation.oid = 1;
    relation.schema = "public";
    relation.name = "Order";
    relation.description = "one";
    relation.columns.resize(2);
    relation.columns[0].number = 1;
    relation.columns[0].name = "id";
    relation.columns[0].type_schema = "pg_catalog";
    relation.columns[0].type_name = "int8";
    relation.columns[0].encoding = Encoding::integer;
    relation.columns[0].in_identity = true;
    relation.columns[1].number = 2;
    relation.columns[1].name = "note";
    relation.columns[1].type_schema = "pg_catalog";
    relation.columns[1].type_name = "text";
    change.relation = &relation;
  }

  ChangeDetails& details() {
    if (!change.details) change.details = std::make_unique<ChangeDetails>();
    return *change.details;
  }
};

TEST_F(ChangeTextTest, ShowsRowsAsJson) {
  change.after =
      "\x08\x0e\x12\x03"
      "a\"b";
  EXPECT_EQ(text.line(change), R"(insert public."Order" {"id":7,"note":"a\"b"})");
  change.after = "\x08\x0e";
  EXPECT_EQ(text.line(change), R"(insert public."Order" {"id":7,"note":null})");
}

TEST_F(ChangeTextTest, ShowsWhatIsKnownOfAnOldRow) {
  change.kind = Change::Kind::update;
  change.after = "\x08\x0e";
  change.before = "\x08\x02";
  change.before_kind = BeforeKind::key;
  details().unchanged = {2};
  EXPECT_EQ(text.line(change), R"(update public."Order" {"id":7} was {"id":1}, without note (unchanged))");
  change.kind = Change::Kind::remove;
  change.before_kind = BeforeKind::full;
  details().before_gaps = {{2, "", "too large"}};
  EXPECT_EQ(text.line(change), R"(delete public."Order" {"id":1}, without note (not sent))");
}

TEST_F(ChangeTextTest, ShowsWhatIsNoRow) {
  change.relation = nullptr;
  change.kind = Change::Kind::message;
  details().transactional = true;
  details().prefix = "outbox:7";
  details().content = "{\"a\": 1}\n\x1b[2J";
  EXPECT_EQ(text.line(change), "message outbox:7 {\"a\": 1}\\x0a\\x1b[2J");
  details().content = "\xff";
  details().transactional = false;
  EXPECT_EQ(text.line(change), "message outbox:7 1 bytes that are no text (not transactional)");
  change.kind = Change::Kind::truncate;
  details().truncated = {{&relation, 0}, {&relation, 9}};
  EXPECT_EQ(text.line(change), R"(truncate public."Order", public."Order" (partition 9))");
}

TEST_F(ChangeTextTest, RefusesWhatIsNoRowOfTheTable) {
  change.after = "\x18\x01";
  EXPECT_THROW(text.line(change), FormatError);
}

}  // namespace
}  // namespace anabranch
