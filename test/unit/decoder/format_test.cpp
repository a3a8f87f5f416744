// The numbers that are written and read by hand against those that protoc made of the .proto files: each name on one
// side stands, with the same number, on the other.
#include "decoder/format.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdint>
#include <map>
#include <string>

#include "decoder/record.pb.h"
#include "extension/delta.pb.h"
#include "extension/delta_format.hpp"
#include "extension/record_rules.hpp"

namespace anabranch {
namespace {

using Numbers = std::map<std::string, uint32_t>;

Numbers numbers_of(const google::protobuf::Descriptor* message) {
  Numbers numbers;
  for (int i = 0; i < message->field_count(); ++i)
    numbers[message->field(i)->name()] = static_cast<uint32_t>(message->field(i)->number());
  return numbers;
}

Numbers numbers_of(const google::protobuf::EnumDescriptor* choices) {
  Numbers numbers;
  for (int i = 0; i < choices->value_count(); ++i)
    numbers[choices->value(i)->name()] = static_cast<uint32_t>(choices->value(i)->number());
  return numbers;
}

template <typename Enum>
uint32_t number(Enum value) {
  return static_cast<uint32_t>(value);
}

TEST(Format, KindsOfRecord) {
  EXPECT_EQ(numbers_of(v1::Record::descriptor()), (Numbers{{"begin", number(RecordKind::begin)},
                                                           {"relation", number(RecordKind::relation)},
                                                           {"insert", number(RecordKind::insert)},
                                                           {"update", number(RecordKind::update)},
                                                           {"delete", number(RecordKind::remove)},
                                                           {"truncate", number(RecordKind::truncate)},
                                                           {"message", number(RecordKind::message)},
                                                           {"unselected", number(RecordKind::unselected)},
                                                           {"commit", number(RecordKind::commit)},
                                                           {"fragment", number(RecordKind::fragment)}}));
}

TEST(Format, Enumerations) {
  EXPECT_EQ(numbers_of(v1::ReplicaIdentity_descriptor()),
            (Numbers{{"REPLICA_IDENTITY_DEFAULT", number(ReplicaIdentity::by_default)},
                     {"REPLICA_IDENTITY_INDEX", number(ReplicaIdentity::index)},
                     {"REPLICA_IDENTITY_FULL", number(ReplicaIdentity::full)},
                     {"REPLICA_IDENTITY_NOTHING", number(ReplicaIdentity::nothing)}}));
  EXPECT_EQ(numbers_of(v1::Before_descriptor()), (Numbers{{"BEFORE_NONE", number(BeforeKind::none)},
                                                          {"BEFORE_KEY", number(BeforeKind::key)},
                                                          {"BEFORE_FULL", number(BeforeKind::full)}}));
  EXPECT_EQ(numbers_of(v1::Encoding_descriptor()), (Numbers{{"ENCODING_TEXT", number(Encoding::text)},
                                                            {"ENCODING_BOOL", number(Encoding::boolean)},
                                                            {"ENCODING_INTEGER", number(Encoding::integer)},
                                                            {"ENCODING_OID", number(Encoding::oid)},
                                                            {"ENCODING_FLOAT4", number(Encoding::float4)},
                                                            {"ENCODING_FLOAT8", number(Encoding::float8)},
                                                            {"ENCODING_BYTES", number(Encoding::bytes)},
                                                            {"ENCODING_DATE", number(Encoding::date)},
                                                            {"ENCODING_TIME", number(Encoding::time)},
                                                            {"ENCODING_TIMESTAMP", number(Encoding::timestamp)},
                                                            {"ENCODING_RAW_TEXT", number(Encoding::raw_text)}}));
}

// The table that anabranch.decode() shows records by has every field of a message, under the number of format.hpp; a
// column's number it calls "column".
void expect_rule(const MessageRule& rule, const google::protobuf::Descriptor* message) {
  Numbers shown;
  for (const FieldRule& field : rule.fields) {
    const bool renamed = field.show == Show::column;
    EXPECT_TRUE(shown.emplace(renamed ? "number" : field.name, field.number).second) << field.name;
    const google::protobuf::FieldDescriptor* described = message->FindFieldByNumber(static_cast<int>(field.number));
    ASSERT_NE(described, nullptr) << message->name() << "." << field.name;
    if (field.show == Show::message) {
      EXPECT_EQ(field.is_repeated, described->is_repeated()) << field.name;
      expect_rule(*field.message, described->message_type());
    }
    if (field.show == Show::choice) {
      EXPECT_EQ(static_cast<int>(field.choices.size()), described->enum_type()->value_count()) << field.name;
    }
  }
  EXPECT_EQ(shown, numbers_of(message)) << message->name();
}

TEST(Format, FieldsOfRecords) {
  EXPECT_EQ(numbers_of(v1::Frame::descriptor()), (Numbers{{"records", fields::frame::records}}));
  const google::protobuf::Descriptor* record = v1::Record::descriptor();
  ASSERT_EQ(std::size(records), static_cast<size_t>(record->field_count()) + 1);
  for (int i = 0; i < record->field_count(); ++i) {
    const MessageRule& rule = records[record->field(i)->number()];
    EXPECT_EQ(rule.name, record->field(i)->name());
    expect_rule(rule, record->field(i)->message_type());
  }
}

TEST(Format, FieldsOfDeltas) {
  EXPECT_EQ(numbers_of(v1::Delta::descriptor()),
            (Numbers{{"truncate", fields::delta::truncate}, {"rows", fields::delta::rows}}));
  EXPECT_EQ(numbers_of(v1::Row::descriptor()), (Numbers{{"source", fields::row::source},
                                                        {"weight", fields::row::weight},
                                                        {"row", fields::row::row},
                                                        {"xid", fields::row::xid}}));
}

}  // namespace
}  // namespace anabranch
