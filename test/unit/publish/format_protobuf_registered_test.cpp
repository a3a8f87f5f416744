#include "sidecar/publish/format_protobuf_registered.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>

#include "sidecar/log/topic_record.hpp"
#include "sidecar/topic/schema_frame.hpp"
#include "test/unit/publish/format_fixture.hpp"

namespace anabranch {
namespace {

using test::Fields;
using test::make_column;
using testing::HasSubstr;
using testing::Not;

class KeptSchemas : public SchemaRegistry {
 public:
  int32_t register_schema(const std::string& subject, SchemaKind kind, const std::string& schema) override {
    EXPECT_EQ(kind, SchemaKind::protobuf);
    schemas[subject] = schema;
    return subject.ends_with("-key") ? 258 : 1;
  }
  std::map<std::string, std::string> schemas;
};

TEST(RegisteredProtobuf, AddsAFrameAndNothingElse) {
  const auto relation = test::make_relation(
      {make_column(1, "id", "int4", Encoding::integer), make_column(3, "name", "varchar", Encoding::text, 24)});
  const auto registry = std::make_shared<KeptSchemas>();
  const auto table = test::table_of(relation);
  auto plain = make_protobuf_format()->open(table);
  auto framed = make_registered_protobuf_format(make_protobuf_format(), registry)->open(table);
  const std::string row = Fields().integer(1, 5).text(3, "x");
  PublishedChange change;
  change.after = row;
  change.number = 1;
  std::string key, value, framed_key, framed_value;
  plain->key(row, key);
  plain->value(test::make_unit(), change, value);
  framed->key(row, framed_key);
  framed->value(test::make_unit(), change, framed_value);
  EXPECT_EQ(framed_key, std::string("\0\0\0\1\2\0", 6) + key);
  EXPECT_EQ(framed_value, std::string("\0\0\0\0\1\0", 6) + value);
  EXPECT_THAT(value, HasSubstr(row)) << "the decoder's bytes as they are";
  EXPECT_EQ(without_schema_frame(framed_value), value);
  EXPECT_EQ(without_schema_frame(value), value);
  EXPECT_EQ(without_schema_frame(framed_key), key);

  const auto& file = registry->schemas.at("shop.public.item-value");
  EXPECT_THAT(file, HasSubstr("package anabranch.schema_public.table_item;"));
  EXPECT_THAT(file, HasSubstr("reserved 2;"));
  EXPECT_THAT(file, HasSubstr("optional string name = 3;  // varchar(20)"));
  EXPECT_THAT(file, HasSubstr("message Key {\n  optional sint64 id = 1;"));
  EXPECT_THAT(registry->schemas.at("shop.public.item-key"), Not(HasSubstr("Change")));
}

TEST(RegisteredProtobuf, OurOwnReadersReadThroughTheFrame) {
  const auto relation = test::make_relation({make_column(1, "id", "int4", Encoding::integer)});
  auto format = make_registered_protobuf_format(make_protobuf_format(), std::make_shared<KeptSchemas>())
                    ->open(test::table_of(relation));
  const std::string row = Fields().integer(1, 5);
  PublishedChange change;
  change.after = row;
  std::string value;
  format->value(test::make_unit(), change, value);
  TopicRow read;
  read_topic_row(value, read);
  EXPECT_EQ(read.operation, RowOperation::insert);
  EXPECT_EQ(read.after, row);
}

TEST(RegisteredProtobuf, TheLatestRowIsTheDecodersBytes) {
  const auto relation = test::make_relation(
      {make_column(1, "id", "int4", Encoding::integer), make_column(2, "name", "text", Encoding::text),
       make_column(3, "f4", "float4", Encoding::float4), make_column(4, "f8", "float8", Encoding::float8)});
  const auto registry = std::make_shared<KeptSchemas>();
  auto table = test::table_of(relation);
  table.latest_topic = "shop.public.item.latest";
  auto format = make_registered_protobuf_format(make_protobuf_format(), registry)->open(table);
  EXPECT_EQ(registry->schemas.at("shop.public.item.latest-value"), registry->schemas.at("shop.public.item-value"));
  const std::string whole = Fields().integer(1, 5).text(2, "x").float4(3, 1.5F).float8(4, 2.5),
                    sent = Fields().integer(1, 5).float4(3, 1.5F).float8(4, 2.5);
  const std::string frame("\0\0\0\0\1\2\2", 7);  // the row is the second message of its file
  PublishedChange change;
  change.operation = RowOperation::update;
  change.after = whole;
  std::string out;
  EXPECT_TRUE(format->latest(change, out));
  EXPECT_EQ(out, frame + whole);
  const std::vector<uint32_t> unchanged{2};
  change.after = sent;
  change.unchanged = &unchanged;
  EXPECT_THROW(format->latest(change, out), FormatError);
  change.before_kind = BeforeKind::full;
  change.before = whole;
  out.clear();
  EXPECT_TRUE(format->latest(change, out));
  EXPECT_EQ(out, frame + whole);
  out.clear();
  change.operation = RowOperation::remove;
  EXPECT_FALSE(format->latest(change, out));
  EXPECT_EQ(out, "");
}

TEST(RegisteredProtobuf, FramesOfAnyMessageComeOff) {
  for (const int message : {0, 1, 63, 64, 100'000}) {
    std::string bytes;
    append_schema_frame(bytes, 7, message);
    EXPECT_EQ(without_schema_frame(bytes + "\x08\x01"), "\x08\x01") << message;
    // A frame that is cut comes to nothing, never past the end.
    for (size_t size = 1; size < bytes.size(); ++size)
      EXPECT_LE(without_schema_frame(bytes.substr(0, size)).size(), size);
  }
  EXPECT_EQ(without_schema_frame(""), "");
  EXPECT_EQ(without_schema_frame(std::string("\0\0\0\0\1\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", 15)), "");
}

}  // namespace
}  // namespace anabranch
