// The wire format on bytes: what is written comes back, protobuf's own classes agree, and damaged bytes are noticed.
#include "decoder/wire.hpp"

#include <google/protobuf/io/coded_stream.h>
#include <gtest/gtest.h>

#include <cstdint>
#include <limits>
#include <random>
#include <string>
#include <vector>

#include "decoder/record.pb.h"

namespace anabranch::wire {
namespace {

const std::vector<uint64_t> boundaries = [] {
  std::vector<uint64_t> values{0, std::numeric_limits<uint64_t>::max()};
  for (int bit = 0; bit < 64; ++bit)
    for (uint64_t around : {uint64_t{1} << bit, (uint64_t{1} << bit) - 1, (uint64_t{1} << bit) + 1})
      values.push_back(around);
  return values;
}();

std::string written(auto body) {
  std::string buffer(1000, '\xee');
  Writer writer(buffer.data());
  body(writer);
  buffer.resize(static_cast<size_t>(writer.at() - buffer.data()));
  return buffer;
}

TEST(Wire, VarintSizeIsWhatTheWriterWritesAndProtobufSays) {
  for (uint64_t value : boundaries) {
    std::string bytes = written([&](Writer& writer) { writer.varint(value); });
    EXPECT_EQ(bytes.size(), varint_size(value)) << value;
    EXPECT_EQ(google::protobuf::io::CodedOutputStream::VarintSize64(value), varint_size(value)) << value;
  }
}

TEST(Wire, ZigzagRoundTripsAtTheBoundaries) {
  for (uint64_t bits : boundaries) {
    auto value = static_cast<int64_t>(bits);
    EXPECT_EQ(unzigzag(zigzag(value)), value);
  }
  EXPECT_EQ(zigzag(-1), 1u);
  EXPECT_EQ(zigzag(1), 2u);
}

TEST(Wire, EveryKindOfFieldComesBack) {
  for (uint64_t value : boundaries) {
    for (uint32_t number : {1u, 15u, 16u, 1600u, field_number_max}) {
      std::string text(value % 300, 'x');
      std::string bytes = written([&](Writer& writer) {
        writer.varint_field(number, value);
        writer.fixed32_field(number, static_cast<uint32_t>(value));
        writer.fixed64_field(number, value);
        writer.bytes_field(number, text.data(), text.size());
      });
      EXPECT_EQ(bytes.size(), varint_field_size(number, value) + fixed32_field_size(number) +
                                  fixed64_field_size(number) + bytes_field_size(number, text.size()));
      Reader reader(bytes);
      Field field;
      ASSERT_TRUE(reader.next(field));
      EXPECT_EQ(field.type, Type::varint);
      EXPECT_EQ(field.number, number);
      EXPECT_EQ(field.value, value);
      ASSERT_TRUE(reader.next(field));
      EXPECT_EQ(field.type, Type::fixed32);
      EXPECT_EQ(field.value, static_cast<uint32_t>(value));
      ASSERT_TRUE(reader.next(field));
      EXPECT_EQ(field.type, Type::fixed64);
      EXPECT_EQ(field.value, value);
      ASSERT_TRUE(reader.next(field));
      EXPECT_EQ(field.type, Type::bytes);
      EXPECT_EQ(field.bytes, text);
      EXPECT_FALSE(reader.next(field));
      EXPECT_FALSE(reader.damaged());
      EXPECT_EQ(reader.left(), 0u);
    }
  }
}

TEST(Wire, ProtobufReadsWhatIsWritten) {
  std::string record = written([](Writer& writer) {
    writer.varint_field(1, 1);
    writer.varint_field(2, uint64_t{7} << 32 | 42);
    writer.signed_field(3, -123456789);
    writer.varint_field(4, 0xffffffffffffffff);
    writer.bytes_field(5, "anabranch", 9);
  });
  v1::Begin begin;
  ASSERT_TRUE(begin.ParseFromString(record));
  EXPECT_EQ(begin.format(), 1u);
  EXPECT_EQ(begin.xid(), uint64_t{7} << 32 | 42);
  EXPECT_EQ(begin.commit_time(), -123456789);
  EXPECT_EQ(begin.commit_lsn(), 0xffffffffffffffff);
  EXPECT_EQ(begin.origin(), "anabranch");
  EXPECT_EQ(begin.SerializeAsString(), record);
}

TEST(Wire, TheReaderReadsWhatProtobufWrites) {
  v1::Commit commit;
  commit.set_end_lsn(0x16b3748);
  commit.set_crc(0xdeadbeef);
  std::string bytes = commit.SerializeAsString();
  Reader reader(bytes);
  Field field;
  ASSERT_TRUE(reader.next(field));
  EXPECT_EQ(field.number, 1u);
  EXPECT_EQ(field.value, 0x16b3748u);
  ASSERT_TRUE(reader.next(field));
  EXPECT_EQ(field.number, 3u);
  EXPECT_EQ(field.type, Type::fixed32);
  EXPECT_EQ(field.value, 0xdeadbeefu);
  EXPECT_FALSE(reader.next(field));
  EXPECT_FALSE(reader.damaged());
}

TEST(Wire, AMessageCutAnywhereInsideAFieldIsDamaged) {
  std::string whole = written([](Writer& writer) {
    writer.varint_field(1, 300);
    writer.fixed32_field(2, 1);
    writer.fixed64_field(3, 1);
    writer.bytes_field(400, "0123456789", 10);
  });
  std::vector<size_t> whole_fields{0, 3, 8, 17, whole.size()};
  for (size_t size = 0; size <= whole.size(); ++size) {
    Reader reader(std::string_view(whole).substr(0, size));
    Field field;
    while (reader.next(field)) {
    }
    bool ends_between_fields = std::find(whole_fields.begin(), whole_fields.end(), size) != whole_fields.end();
    EXPECT_EQ(reader.damaged(), !ends_between_fields) << size;
    EXPECT_FALSE(reader.next(field)) << "damage is for good";
  }
}

TEST(Wire, DamageIsNamedNotFollowed) {
  for (std::string_view bytes : {
           std::string_view("\x00\x01", 2),                                           // field number 0
           std::string_view("\x0b"),                                                  // wire type 3 (group)
           std::string_view("\x0f\x01"),                                              // wire type 7
           std::string_view("\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02"),          // a varint beyond 64 bits
           std::string_view("\x08\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x00", 12),  // a varint of eleven bytes
           std::string_view("\x80\x80\x80\x80\x10\x00", 6),                           // a field number beyond 29 bits
           std::string_view("\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"),          // a length of 2^64 - 1
           std::string_view("\x0a\x02\x61"),                                          // a length past the end
       }) {
    Reader reader(bytes);
    Field field;
    EXPECT_FALSE(reader.next(field));
    EXPECT_TRUE(reader.damaged());
    EXPECT_EQ(reader.left(), bytes.size()) << "counted from the start of the damaged field";
  }
}

TEST(Wire, PackedNumbersAreReadUpToTheirDamage) {
  const auto read = [](std::string_view packed, bool damaged) {
    std::vector<uint64_t> numbers;
    Varints varints(packed);
    uint64_t number = 0;
    while (varints.next(number)) numbers.push_back(number);
    EXPECT_EQ(varints.damaged(), damaged);
    EXPECT_FALSE(varints.next(number));
    return numbers;
  };
  using Numbers = std::vector<uint64_t>;
  EXPECT_EQ(read("", false), Numbers{});
  EXPECT_EQ(read("\x01\x80\x01\x7f", false), (Numbers{1, 128, 127}));
  EXPECT_EQ(read("\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", false), Numbers{~uint64_t{0}});
  EXPECT_EQ(read("\x01\x80", true), Numbers{1}) << "cut";
  EXPECT_EQ(read("\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02\x01", true), Numbers{}) << "more than 64 bits";
}

TEST(Wire, RandomBytesNeverReadOutside) {
  std::mt19937 random(20240717);
  for (int round = 0; round < 20000; ++round) {
    // On the heap and of exact size, so that the address sanitizer sees a step outside.
    std::vector<char> bytes(random() % 40);
    for (char& byte : bytes) byte = static_cast<char>(random());
    Reader reader(std::string_view(bytes.data(), bytes.size()));
    Field field;
    size_t fields = 0;
    while (reader.next(field)) ++fields;
    EXPECT_LE(fields, bytes.size());
    EXPECT_TRUE(reader.damaged() || reader.left() == 0);
  }
}

}  // namespace
}  // namespace anabranch::wire
