// Values are read back by a reader that knows nothing but Avro's specification and the schema that was registered.
#include "sidecar/publish/format_avro.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <limits>
#include <map>
#include <nlohmann/json.hpp>
#include <random>

#include "sidecar/publish/avro_schema.hpp"
#include "test/unit/publish/format_fixture.hpp"

namespace anabranch {
namespace {

using nlohmann::json;
using test::Fields;
using test::make_column;

// Reads a value by its schema. Strings and bytes come out as strings.
class AvroReader {
 public:
  AvroReader(const json& schema, std::string_view bytes) : bytes_(bytes) { collect(schema); }

  json read(const json& schema) {
    if (schema.is_array()) {
      const auto branch = static_cast<size_t>(number());
      return read(schema.at(branch));
    }
    if (schema.is_object()) {
      const auto& type = schema.at("type");
      if (type == "record") {
        json value = json::object();
        for (const auto& field : schema.at("fields"))
          value[field.at("name").get<std::string>()] = read(field.at("type"));
        return value;
      }
      if (type == "array") {
        json value = json::array();
        for (auto count = number(); count != 0; count = number())
          for (; count > 0; --count) value.push_back(read(schema.at("items")));
        return value;
      }
      return read(type);
    }
    const auto name = schema.get<std::string>();
    if (name == "null") return nullptr;
    if (name == "boolean") return take(1)[0] != 0;
    if (name == "int" || name == "long") return number();
    if (name == "float") return copy<float>();
    if (name == "double") return copy<double>();
    if (name == "string" || name == "bytes") return std::string(take(static_cast<size_t>(number())));
    return read(named_.at(name));
  }

  bool at_end() const { return bytes_.empty(); }

 private:
  void collect(const json& schema) {
    if (schema.is_array() || schema.is_object())
      for (const auto& part : schema) collect(part);
    if (schema.is_object() && schema.contains("fields")) named_[schema["name"]] = schema;
  }

  std::string_view take(size_t size) {
    if (size > bytes_.size()) throw std::out_of_range("the value ends early");
    const auto taken = bytes_.substr(0, size);
    bytes_.remove_prefix(size);
    return taken;
  }

  template <typename Number>
  Number copy() {
    Number value;
    std::memcpy(&value, take(sizeof(value)).data(), sizeof(value));
    return value;
  }

  int64_t number() {
    uint64_t value = 0;
    for (int shift = 0;; shift += 7) {
      const auto byte = static_cast<uint8_t>(take(1)[0]);
      value |= static_cast<uint64_t>(byte & 0x7f) << shift;
      if (byte < 0x80) return static_cast<int64_t>(value >> 1) ^ -static_cast<int64_t>(value & 1);
    }
  }

  std::string_view bytes_;
  std::map<std::string, json> named_;
};

class KeptSchemas : public SchemaRegistry {
 public:
  int32_t register_schema(const std::string& subject, SchemaKind, const std::string& schema) override {
    schemas[subject] = schema;
    return subject.ends_with("-key") ? 258 : 1;
  }
  std::map<std::string, std::string> schemas;
};

class Avro : public testing::Test {
 protected:
  std::unique_ptr<RelationFormat> open(const Relation& relation, std::vector<uint32_t> key = {1}) {
    return make_avro_format({.server = "shop", .database = "app"}, registry_)
        ->open(test::table_of(relation, std::move(key)));
  }

  json schema(const std::string& subject) { return json::parse(registry_->schemas.at("shop.public.item-" + subject)); }

  json read(const std::string& subject, const std::string& bytes) {
    EXPECT_EQ(bytes.substr(0, 5), subject == "key" ? std::string("\0\0\0\1\2", 5) : std::string("\0\0\0\0\1", 5));
    const auto written = schema(subject);
    AvroReader reader(written, std::string_view(bytes).substr(5));
    auto value = reader.read(written);
    EXPECT_TRUE(reader.at_end());
    return value;
  }

  json value(RelationFormat& format, const PublishedChange& change) {
    std::string out;
    format.value(test::make_unit(), change, out);
    return read("value", out);
  }

  json after(const Relation& relation, const std::string& row) {
    PublishedChange change;
    change.after = row;
    return value(*open(relation), change)["after"];
  }

  std::shared_ptr<KeptSchemas> registry_ = std::make_shared<KeptSchemas>();
};

Relation all_types() {
  return test::make_relation(
      {make_column(1, "id", "int4", Encoding::integer), make_column(2, "big", "int8", Encoding::integer),
       make_column(3, "flag", "bool", Encoding::boolean), make_column(4, "o", "oid", Encoding::oid),
       make_column(5, "f4", "float4", Encoding::float4), make_column(6, "f8", "float8", Encoding::float8),
       make_column(7, "raw", "bytea", Encoding::bytes), make_column(8, "d", "date", Encoding::date),
       make_column(9, "t", "time", Encoding::time), make_column(10, "ts", "timestamp", Encoding::timestamp),
       make_column(11, "tz", "timestamptz", Encoding::timestamp), make_column(12, "n", "numeric", Encoding::text),
       make_column(13, "ints", "_int4", Encoding::text), make_column(14, "odd name", "text", Encoding::text)});
}

TEST_F(Avro, WritesTheBytesOfTheSpecification) {
  const auto relation = test::make_relation(
      {make_column(1, "id", "int4", Encoding::integer), make_column(2, "name", "text", Encoding::text)});
  auto plain = relation;
  plain.columns[0].in_primary_key = true;
  std::string key;
  open(plain)->key(std::string(Fields().integer(1, -65)), key);
  EXPECT_EQ(key, std::string("\0\0\0\1\2\x81\1", 7));
  std::string out;
  PublishedChange change;
  const std::string row = Fields().integer(1, 3).text(2, "ab");
  change.after = row;
  change.number = 1;
  open(relation)->value(test::make_unit(), change, out);
  // before null; after: id 3, name "ab"; then the source
  EXPECT_EQ(out.substr(5, 8), std::string("\0\2\2\6\2\4ab", 8));
}

TEST_F(Avro, WritesEveryType) {
  const auto row = after(all_types(), Fields()
                                          .integer(1, -5)
                                          .integer(2, std::numeric_limits<int64_t>::min())
                                          .varint(3, 1)
                                          .varint(4, 4294967295)
                                          .float4(5, 0.1F)
                                          .float8(6, -0.0)
                                          .text(7, std::string_view("\0\xff", 2))
                                          .integer(8, 9'821)
                                          .integer(9, 86'400'000'000)
                                          .integer(10, 848'556'450'185'973)
                                          .integer(11, -1)
                                          .text(12, "NaN")
                                          .text(13, "{1,NULL}")
                                          .text(14, "x"));
  EXPECT_EQ(row["id"], -5);
  EXPECT_EQ(row["big"], std::numeric_limits<int64_t>::min());
  EXPECT_EQ(row["flag"], true);
  EXPECT_EQ(row["o"], 4294967295);
  EXPECT_EQ(row["f4"].get<float>(), 0.1F);
  EXPECT_TRUE(std::signbit(row["f8"].get<double>()));
  EXPECT_EQ(row["raw"].get<std::string>(), std::string("\0\xff", 2));
  EXPECT_EQ(row["d"], 20'778);
  EXPECT_EQ(row["t"], 86'400'000'000);
  EXPECT_EQ(row["ts"], 1'795'241'250'185'973);
  EXPECT_EQ(row["tz"], 946'684'799'999'999);
  EXPECT_EQ(row["n"], "NaN");
  EXPECT_EQ(row["ints"], "{1,NULL}");
  EXPECT_EQ(row["odd_x20name"], "x");
  const auto nulls = after(all_types(), Fields());
  for (const auto& [name, value] : nulls.items()) EXPECT_TRUE(value.is_null()) << name;
}

TEST_F(Avro, TheEndsOfTime) {
  const auto relation = all_types();
  constexpr auto greatest = std::numeric_limits<int64_t>::max(), least = std::numeric_limits<int64_t>::min();
  EXPECT_EQ(after(relation, Fields().integer(10, greatest))["ts"], greatest);
  EXPECT_EQ(after(relation, Fields().integer(10, least))["ts"], least);
  EXPECT_EQ(after(relation, Fields().integer(8, 2147483647))["d"], 2147483647);
  // One microsecond before 2^63 - 1 of them since 1970, and that one, which would be read as infinity.
  constexpr auto last = greatest - 946'684'800'000'000 - 1;
  EXPECT_EQ(after(relation, Fields().integer(10, last))["ts"], greatest - 1);
  PublishedChange change;
  const std::string row = Fields().integer(1, 7).integer(10, last + 1);
  change.after = row;
  const auto out = value(*open(relation), change);
  EXPECT_EQ(out["after"]["ts"], nullptr);
  EXPECT_EQ(out["after"]["id"], 7);
  EXPECT_EQ(out["omitted_after"][0]["column"], "ts");
  EXPECT_EQ(out["omitted_after"][0]["sqlstate"], "22008");
}

TEST_F(Avro, SaysWhereAChangeComesFrom) {
  const auto relation = test::make_relation({make_column(1, "id", "int8", Encoding::integer)});
  PublishedChange change;
  const std::string row = Fields().integer(1, 5);
  change.operation = RowOperation::remove;
  change.before_kind = BeforeKind::key;
  change.before = row;
  change.number = 3;
  const auto out = value(*open(relation), change);
  EXPECT_EQ(out["before"]["id"], 5);
  EXPECT_EQ(out["after"], nullptr);
  EXPECT_EQ(out["op"], "d");
  EXPECT_EQ(out["ts_ms"], 1'795'241'250'185);
  EXPECT_EQ(out["transaction"].dump(), R"({"data_collection_order":3,"id":"7:256","total_order":3})");
  EXPECT_EQ(out["source"].dump(),
            R"({"connector":"postgresql","db":"app","lsn":256,"name":"shop","origin":null,"schema":"public",)"
            R"("sequence":"[\"256\",\"3\"]","snapshot":"false","table":"item","ts_ms":1795241250185,"txId":7,)"
            R"("version":")" ANABRANCH_VERSION R"(","xmin":null})");
}

TEST_F(Avro, NeverShowsNullForTextThatIsNotKnown) {
  const auto relation = test::make_relation(
      {make_column(1, "id", "int4", Encoding::integer), make_column(2, "name", "text", Encoding::text)});
  const std::string row = Fields().integer(1, 5);
  const std::vector<uint32_t> unchanged{2};
  const std::vector<Gap> gaps{{.number = 2, .sqlstate = "22021", .reason = "why"}};
  PublishedChange change;
  change.operation = RowOperation::update;
  change.after = row;
  change.unchanged = &unchanged;
  auto format = open(relation);
  EXPECT_EQ(value(*format, change)["after"]["name"], "__debezium_unavailable_value");
  change.unchanged = nullptr;
  change.after_gaps = &gaps;
  const auto out = value(*format, change);
  EXPECT_EQ(out["after"]["name"], "__debezium_unavailable_value");
  EXPECT_EQ(out["omitted_after"].dump(), R"([{"column":"name","reason":"why","sqlstate":"22021"}])");
}

TEST_F(Avro, KeysOfIndexesHaveNoNulls) {
  auto relation = test::make_relation(
      {make_column(1, "id", "int4", Encoding::integer), make_column(2, "name", "text", Encoding::text)});
  relation.columns[0].in_primary_key = true;
  const std::string row = Fields().integer(1, 5).text(2, "x");
  std::string out;
  open(relation)->key(row, out);
  EXPECT_EQ(read("key", out).dump(), R"({"id":5})");
  EXPECT_EQ(schema("key")["fields"][0]["type"], "int");
  out.clear();
  open(relation, {1, 2})->key(std::string(Fields().integer(1, 5)), out);
  EXPECT_EQ(read("key", out).dump(), R"({"id":5,"name":null})");
  EXPECT_THROW(open(relation)->key(std::string(Fields().text(2, "x")), out), FormatError);
}

TEST_F(Avro, TheLatestRowStandsAlone) {
  const auto relation = test::make_relation(
      {make_column(1, "id", "int4", Encoding::integer), make_column(2, "ts", "timestamp", Encoding::timestamp)});
  auto table = test::table_of(relation);
  table.latest_topic = "shop.public.item.latest";
  auto format = make_avro_format({.server = "shop", .database = "app"}, registry_)->open(table);
  const auto written = json::parse(registry_->schemas.at("shop.public.item.latest-value"));
  EXPECT_EQ(registry_->schemas.at("shop.public.item.latest-key"), registry_->schemas.at("shop.public.item-key"));
  const std::string row = Fields().integer(1, 5), late = Fields().integer(2, 9'223'371'331'199'999'999);
  PublishedChange change;
  change.after = row;
  std::string out;
  EXPECT_TRUE(format->latest(change, out));
  AvroReader reader(written, std::string_view(out).substr(5));
  EXPECT_EQ(reader.read(written).dump(), R"({"id":5,"ts":null})");
  EXPECT_TRUE(reader.at_end());
  change.after = late;
  EXPECT_THROW(format->latest(change, out), FormatError);
  change.operation = RowOperation::remove;
  EXPECT_FALSE(format->latest(change, out));
}

TEST_F(Avro, NamesAreAvros) {
  auto relation = test::make_relation({make_column(1, "1 \xc3\xa4", "int4", Encoding::integer)});
  open(relation);
  EXPECT_EQ(schema("value")["namespace"], "shop.public.item");
  EXPECT_EQ(schema("value")["fields"][0]["type"][1]["fields"][0]["name"], "_x31_x20_xC3_xA4");
  EXPECT_EQ(schema("value")["fields"][0]["type"][1]["fields"][0]["doc"], "1 \xc3\xa4");
  EXPECT_EQ(json::parse(avro_row_schema(relation, "a-b.1.x..y"))["namespace"], "a_x2Db._x31.x._.y");
}

TEST_F(Avro, AnyRowIsReadBack) {
  const auto seed = std::random_device()();
  SCOPED_TRACE("seed " + std::to_string(seed));
  std::mt19937_64 random(seed);
  const auto relation = test::make_relation(
      {make_column(1, "i", "int8", Encoding::integer), make_column(2, "f8", "float8", Encoding::float8),
       make_column(3, "s", "text", Encoding::text), make_column(4, "b", "bool", Encoding::boolean)});
  auto format = open(relation);
  for (int round = 0; round < 5'000; ++round) {
    Fields fields;
    json expected = {{"i", nullptr}, {"f8", nullptr}, {"s", nullptr}, {"b", nullptr}};
    const auto present = random();
    if (present & 1) {
      const auto value = static_cast<int64_t>(random() >> random() % 64);
      fields.integer(1, value);
      expected["i"] = value;
    }
    if (present & 2) {
      const auto value = static_cast<double>(static_cast<int64_t>(random())) / 3;
      fields.float8(2, value);
      expected["f8"] = value;
    }
    if (present & 4) {
      std::string value(random() % 300, 'x');
      for (auto& c : value) c = static_cast<char>(random() % 128);
      fields.text(3, value);
      expected["s"] = value;
    }
    if (present & 8) {
      fields.varint(4, present >> 4 & 1);
      expected["b"] = (present >> 4 & 1) != 0;
    }
    const std::string row = fields;
    PublishedChange change;
    change.before_kind = BeforeKind::full;
    change.operation = RowOperation::update;
    change.before = change.after = row;
    const auto out = value(*format, change);
    ASSERT_EQ(out["before"], expected);
    ASSERT_EQ(out["after"], expected);
  }
}

}  // namespace
}  // namespace anabranch
