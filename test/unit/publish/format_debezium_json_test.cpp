#include "sidecar/publish/format_debezium_json.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>
#include <random>

#include "test/unit/publish/format_fixture.hpp"

namespace anabranch {
namespace {

using nlohmann::json;
using test::Fields;
using test::make_column;

constexpr int32_t numeric_10_2 = (10 << 16 | 2) + 4;

Relation all_types() {
  return test::make_relation({
      make_column(1, "id", "int4", Encoding::integer),
      make_column(2, "flag", "bool", Encoding::boolean),
      make_column(3, "o", "oid", Encoding::oid),
      make_column(4, "f4", "float4", Encoding::float4),
      make_column(5, "f8", "float8", Encoding::float8),
      make_column(6, "raw", "bytea", Encoding::bytes),
      make_column(7, "d", "date", Encoding::date),
      make_column(8, "t", "time", Encoding::time),
      make_column(9, "ts", "timestamp", Encoding::timestamp),
      make_column(10, "tz", "timestamptz", Encoding::timestamp),
      make_column(11, "ts3", "timestamp", Encoding::timestamp, 3),
      make_column(12, "n", "numeric", Encoding::text, numeric_10_2),
      make_column(13, "doc", "jsonb", Encoding::text),
      make_column(14, "ints", "_int4", Encoding::text),
      make_column(15, "odd \"name\"\n", "text", Encoding::text),
      make_column(16, "latin", "text", Encoding::raw_text),
      make_column(17, "t3", "time", Encoding::time, 3),
  });
}

class DebeziumJson : public testing::Test {
 protected:
  explicit DebeziumJson(TimeMode times = TimeMode::iso)
      : format_(make_debezium_json_format({.server = "shop", .database = "app", .times = times})) {}

  std::unique_ptr<RelationFormat> open(const Relation& relation, std::vector<uint32_t> key = {1}) {
    return format_->open(test::table_of(relation, std::move(key)));
  }

  static std::string write(RelationFormat& format, const PublishedChange& change) {
    std::string out;
    format.value(test::make_unit(), change, out);
    return out;
  }

  // The new row of an insert.
  std::string after(const Relation& relation, const std::string& row) {
    PublishedChange change;
    change.after = row;
    const auto text = write(*open(relation), change);
    const auto start = text.find("\"after\":") + 8;
    return text.substr(start, text.find(",\"source\":") - start);
  }

  std::unique_ptr<RowFormat> format_;
};

class DebeziumJsonAdaptive : public DebeziumJson {
 protected:
  DebeziumJsonAdaptive() : DebeziumJson(TimeMode::adaptive) {}
};

const std::string full_row = Fields()
                                 .integer(1, -2147483648)
                                 .varint(2, 1)
                                 .varint(3, 4294967295)
                                 .float4(4, 0.1F)
                                 .float8(5, 5e-324)
                                 .text(6, std::string_view("\x00\xff\\", 3))
                                 .integer(7, 9'821)
                                 .integer(8, 86'400'000'000)
                                 .integer(9, 848'556'450'185'973)
                                 .integer(10, 848'556'450'185'973)
                                 .integer(11, 848'556'450'186'000)
                                 .text(12, "12.50")
                                 .text(13, R"({"a": [1, null]})")
                                 .text(14, "{1,NULL,3}")
                                 .text(15, "K\xc3\xa4se\n\"\x01")
                                 .text(16, "K\xe4se")
                                 .integer(17, 1'500'000);

TEST_F(DebeziumJson, WritesEveryType) {
  EXPECT_EQ(after(all_types(), full_row),
            R"({"id":-2147483648,"flag":true,"o":4294967295,"f4":0.1,"f8":5e-324,"raw":"AP9c","d":"2026-11-21",)"
            R"("t":"24:00:00","ts":"2026-11-21T06:07:30.185973","tz":"2026-11-21T06:07:30.185973Z",)"
            R"("ts3":"2026-11-21T06:07:30.186","n":"12.50","doc":"{\"a\": [1, null]}","ints":[1,null,3],)"
            "\"odd \\\"name\\\"\\n\":\"K\xc3\xa4se\\n\\\"\\u0001\",\"latin\":\"K\xc3\xa4se\",\"t3\":\"00:00:01.5\"}");
}

TEST_F(DebeziumJsonAdaptive, WritesTimesAsNumbers) {
  const auto row = json::parse(after(all_types(), full_row));
  EXPECT_EQ(row["d"], 20'778);
  EXPECT_EQ(row["t"], 86'400'000'000);
  EXPECT_EQ(row["t3"], 1'500);
  EXPECT_EQ(row["ts"], 1'795'241'250'185'973);
  EXPECT_EQ(row["ts3"], 1'795'241'250'186);
  EXPECT_EQ(row["tz"], "2026-11-21T06:07:30.185973Z");
}

TEST_F(DebeziumJsonAdaptive, KeepsTheEndsOfTime) {
  constexpr auto least = std::numeric_limits<int64_t>::min(), greatest = std::numeric_limits<int64_t>::max();
  EXPECT_EQ(json::parse(after(all_types(), Fields().integer(9, greatest)))["ts"], 9'223'372'036'825'200'000);
  EXPECT_EQ(json::parse(after(all_types(), Fields().integer(9, least)))["ts"], -9'223'372'036'832'400'000);
  EXPECT_EQ(json::parse(after(all_types(), Fields().integer(9, 9'223'371'331'199'999'999)))["ts"],
            9'224'318'015'999'999'999U);
  EXPECT_EQ(json::parse(after(all_types(), Fields().integer(7, 2'147'483'647)))["d"], 2'147'483'647);
}

TEST_F(DebeziumJson, WritesNumbersThatJsonHasNoWordFor) {
  const auto relation = all_types();
  constexpr auto infinity = std::numeric_limits<double>::infinity();
  EXPECT_EQ(json::parse(after(relation, Fields().float8(5, NAN)))["f8"], "NaN");
  EXPECT_EQ(json::parse(after(relation, Fields().float8(5, -infinity)))["f8"], "-Infinity");
  EXPECT_EQ(json::parse(after(relation, Fields().float4(4, INFINITY)))["f4"], "Infinity");
  EXPECT_NE(after(relation, Fields().float8(5, -0.0)).find("\"f8\":-0.0,"), std::string::npos);
  EXPECT_EQ(json::parse(after(relation, Fields().text(12, "NaN")))["n"], "NaN");
}

TEST_F(DebeziumJson, WritesArraysOfEveryKind) {
  const auto one = [&](const char* type, const char* text) {
    const auto relation = test::make_relation({make_column(1, "a", type, Encoding::text)});
    return json::parse(after(relation, Fields().text(1, text)))["a"].dump();
  };
  EXPECT_EQ(one("_bool", "{t,f,NULL}"), "[true,false,null]");
  EXPECT_EQ(one("_int8", "{}"), "[]");
  EXPECT_EQ(one("_float8", "{1.5,NaN,-Infinity,1e+300}"), R"([1.5,"NaN","-Infinity",1e+300])");
  EXPECT_EQ(one("_text", R"({a,"b \"c\"",NULL,"NULL"})"), R"(["a","b \"c\"",null,"NULL"])");
  EXPECT_EQ(one("_numeric", "{1.50,NaN}"), R"(["1.50","NaN"])");
  EXPECT_EQ(one("_bytea", R"({"\\x00ff"})"), R"(["AP8="])");
  EXPECT_EQ(one("_timestamptz", R"({"2026-11-21 06:07:30+00"})"), R"(["2026-11-21T06:07:30Z"])");
  EXPECT_EQ(one("_int4", "[0:1][1:2]={{1,2},{3,4}}"), "[[1,2],[3,4]]");
  EXPECT_EQ(one("_box", "{(1,1),(0,0);(2,2),(0,0)}"), R"x(["(1,1),(0,0)","(2,2),(0,0)"])x");
  EXPECT_EQ(one("_no_array", "plain"), R"("plain")");
}

TEST_F(DebeziumJson, SaysWhereAChangeComesFrom) {
  const auto relation = test::make_relation({make_column(1, "id", "int8", Encoding::integer)});
  PublishedChange change;
  const std::string row = Fields().integer(1, 5);
  change.after = row;
  change.number = 3;
  EXPECT_EQ(
      write(*open(relation), change),
      R"({"before":null,"after":{"id":5},"source":{"version":")" ANABRANCH_VERSION
      R"(","connector":"postgresql","name":"shop","ts_ms":1795241250185,"snapshot":"false",)"
      R"("sequence":"[\"256\",\"3\"]","db":"app","schema":"public","table":"item","txId":7,"lsn":256,"xmin":null},)"
      R"("op":"c","ts_ms":1795241250185,"transaction":{"id":"7:256","total_order":3,"data_collection_order":3}})");
  change.operation = RowOperation::read;
  EXPECT_EQ(json::parse(write(*open(relation), change))["source"]["snapshot"], "true");
  EXPECT_EQ(json::parse(write(*open(relation), change))["op"], "r");
}

TEST_F(DebeziumJson, ShowsAnOldRowWhereItIsWhole) {
  const auto relation = test::make_relation(
      {make_column(1, "id", "int4", Encoding::integer), make_column(2, "name", "text", Encoding::text)});
  auto format = open(relation);
  const std::string key = Fields().integer(1, 5), old_row = Fields().integer(1, 5).text(2, "a"),
                    new_row = Fields().integer(1, 5).text(2, "b");
  const auto before = [&](RowOperation operation, BeforeKind kind, const std::string& row) {
    PublishedChange change;
    change.operation = operation;
    change.before_kind = kind;
    change.before = row;
    if (operation == RowOperation::update) change.after = new_row;
    const auto value = json::parse(write(*format, change));
    EXPECT_EQ(value["after"].is_null(), operation != RowOperation::update);
    return value["before"].dump();
  };
  EXPECT_EQ(before(RowOperation::update, BeforeKind::full, old_row), R"({"id":5,"name":"a"})");
  EXPECT_EQ(before(RowOperation::update, BeforeKind::key, key), "null");
  EXPECT_EQ(before(RowOperation::update, BeforeKind::none, ""), "null");
  EXPECT_EQ(before(RowOperation::remove, BeforeKind::full, old_row), R"({"id":5,"name":"a"})");
  EXPECT_EQ(before(RowOperation::remove, BeforeKind::key, key), R"({"id":5,"name":null})");
  EXPECT_EQ(before(RowOperation::remove, BeforeKind::none, ""), "null");
  EXPECT_EQ(before(RowOperation::truncate, BeforeKind::none, ""), "null");
}

TEST_F(DebeziumJson, NeverShowsNullForAValueThatIsNotKnown) {
  const auto relation = test::make_relation(
      {make_column(1, "id", "int4", Encoding::integer), make_column(2, "name", "text", Encoding::text),
       make_column(3, "raw", "bytea", Encoding::bytes), make_column(4, "ints", "_int4", Encoding::text),
       make_column(5, "words", "_text", Encoding::text)});
  auto format = open(relation);
  const std::string old_row = Fields().integer(1, 5).text(2, "old"), new_row = Fields().integer(1, 5);
  const std::vector<uint32_t> unchanged{2, 3, 4, 5, 99};
  PublishedChange change;
  change.operation = RowOperation::update;
  change.after = new_row;
  change.unchanged = &unchanged;
  auto after = json::parse(write(*format, change))["after"];
  EXPECT_EQ(after["name"], "__debezium_unavailable_value");
  EXPECT_EQ(after["raw"], "X19kZWJleml1bV91bmF2YWlsYWJsZV92YWx1ZQ==");
  EXPECT_EQ(after["ints"].size(), 28U);
  EXPECT_EQ(after["ints"][0], 95);
  EXPECT_EQ(after["words"][0], "__debezium_unavailable_value");
  change.before_kind = BeforeKind::full;
  change.before = old_row;
  EXPECT_EQ(json::parse(write(*format, change))["after"]["name"], "old") << "the old row has it";
  // The marks of one change are not the next one's.
  change.unchanged = nullptr;
  EXPECT_EQ(json::parse(write(*format, change))["after"]["name"], nullptr);
  const std::vector<Gap> gaps{{.number = 2, .sqlstate = "22021", .reason = "no \"UTF8\""}};
  change.after_gaps = &gaps;
  const auto value = json::parse(write(*format, change));
  EXPECT_EQ(value["after"]["name"], "__debezium_unavailable_value");
  EXPECT_EQ(value["omitted_after"].dump(), R"([{"column":"name","reason":"no \"UTF8\"","sqlstate":"22021"}])");
}

TEST_F(DebeziumJson, KeysHoldTheirColumnsAlone) {
  const auto relation = test::make_relation({make_column(1, "id", "int8", Encoding::integer),
                                             make_column(3, "name", "text", Encoding::text),
                                             make_column(4, "code", "text", Encoding::text)});
  std::string out;
  open(relation, {1, 4})->key(std::string(Fields().integer(1, 5).text(3, "x").text(4, "\xc3\xa4")), out);
  EXPECT_EQ(out, "{\"id\":5,\"code\":\"\xc3\xa4\"}");
  out.clear();
  open(relation, {1, 3})->key(std::string(Fields().integer(1, 5)), out);
  EXPECT_EQ(out, R"({"id":5,"name":null})");
}

TEST_F(DebeziumJson, TheLatestRowStandsAlone) {
  const auto relation = test::make_relation(
      {make_column(1, "id", "int4", Encoding::integer), make_column(2, "name", "text", Encoding::text)});
  auto format = open(relation);
  const std::string row = Fields().integer(1, 5).text(2, "a"), changed = Fields().integer(1, 5);
  const std::vector<uint32_t> unchanged{2};
  PublishedChange change;
  change.operation = RowOperation::update;
  change.after = row;
  std::string out;
  EXPECT_TRUE(format->latest(change, out));
  EXPECT_EQ(out, R"({"id":5,"name":"a"})");
  // A value that is not in the log would be gone for good.
  change.after = changed;
  change.unchanged = &unchanged;
  EXPECT_THROW(format->latest(change, out), FormatError);
  change.before_kind = BeforeKind::full;
  change.before = row;
  out.clear();
  EXPECT_TRUE(format->latest(change, out));
  EXPECT_EQ(out, R"({"id":5,"name":"a"})");
  change = {};
  change.operation = RowOperation::remove;
  change.before = row;
  out.clear();
  EXPECT_FALSE(format->latest(change, out));
  EXPECT_EQ(out, "");
  change.operation = RowOperation::truncate;
  EXPECT_THROW(format->latest(change, out), FormatError);
}

TEST_F(DebeziumJson, RefusesRowsThatAreNone) {
  const auto relation = test::make_relation({make_column(1, "id", "int8", Encoding::integer)});
  auto format = open(relation);
  std::string out;
  for (const std::string& row :
       {std::string("\x08"), std::string(Fields().text(1, "x")), std::string(Fields().integer(2, 1))})
    EXPECT_THROW(format->key(row, out), FormatError);
}

// Whatever the values, the result is JSON that holds them.
TEST_F(DebeziumJson, AnyRowIsJsonThatHoldsIt) {
  const auto seed = std::random_device()();
  SCOPED_TRACE("seed " + std::to_string(seed));
  std::mt19937_64 random(seed);
  const auto relation = test::make_relation(
      {make_column(1, "i", "int8", Encoding::integer), make_column(2, "f8", "float8", Encoding::float8),
       make_column(3, "f4", "float4", Encoding::float4), make_column(4, "s", "text", Encoding::text)});
  auto format = open(relation);
  for (int round = 0; round < 5'000; ++round) {
    const auto i = static_cast<int64_t>(random() >> random() % 64);
    auto f8 = std::bit_cast<double>(random());
    auto f4 = std::bit_cast<float>(static_cast<uint32_t>(random()));
    if (!std::isfinite(f8)) f8 = 0;
    if (!std::isfinite(f4)) f4 = 0;
    std::string s;
    for (auto size = random() % 20; size > 0; --size) s += static_cast<char>(random() % 128);
    const std::string row = Fields().integer(1, i).float8(2, f8).float4(3, f4).text(4, s);
    PublishedChange change;
    change.after = row;
    const auto after = json::parse(write(*format, change))["after"];
    ASSERT_EQ(after["i"].get<int64_t>(), i);
    ASSERT_EQ(after["f8"].get<double>(), f8);
    ASSERT_EQ(after["f4"].get<float>(), f4);
    ASSERT_EQ(after["s"].get<std::string>(), s);
  }
}

}  // namespace
}  // namespace anabranch
