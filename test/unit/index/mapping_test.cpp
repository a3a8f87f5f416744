#include "sidecar/index/mapping.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace anabranch {
namespace {

using nlohmann::json;
using testing::HasSubstr;

IndexDefinition definition_of(std::vector<IndexColumn> columns, json options = json::object()) {
  IndexDefinition definition;
  definition.name = "products";
  definition.owner = "7/shop";
  definition.generation = 3;
  definition.options = std::move(options);
  definition.columns = std::move(columns);
  return definition;
}

json field(const std::string& type, bool is_array = false) {
  return mapping_of(definition_of({{"c", type, is_array}}))["properties"]["c"];
}

json field_with(const std::string& type, const json& given) {
  return mapping_of(definition_of({{"c", type}}, {{"mapping", {{"c", given}}}}))["properties"]["c"];
}

template <typename Call>
std::string refusal_of(Call call) {
  try {
    call();
    return "";
  } catch (const IndexError& error) {
    EXPECT_EQ(error.kind(), IndexError::Kind::refused);
    EXPECT_FALSE(error.remedy().empty());
    return error.what();
  }
}

TEST(Mapping, EachTypeHasItsField) {
  for (const auto& [type, expected] : std::vector<std::pair<std::string, std::string>>{
           {"boolean", "boolean"}, {"smallint", "short"}, {"integer", "integer"}, {"bigint", "long"}, {"oid", "long"}})
    EXPECT_EQ(field(type), json({{"type", expected}})) << type;
  for (const auto& [type, expected] : std::vector<std::pair<std::string, std::string>>{
           {"real", "float"}, {"double precision", "double"}, {"numeric", "double"}})
    EXPECT_EQ(field(type), json({{"type", expected}, {"ignore_malformed", true}})) << type;
  for (const char* type : {"text", "character varying", "character", "\"char\"", "name", "citext"})
    EXPECT_EQ(field(type),
              json::parse(R"({"type":"text","fields":{"keyword":{"type":"keyword","ignore_above":8191}}})"))
        << type;
  for (const char* type : {"uuid", "inet", "cidr", "shop.mood", "interval", "tsvector", "time without time zone"})
    EXPECT_EQ(field(type), json::parse(R"({"type":"keyword","ignore_above":8191})")) << type;
  for (const char* type : {"date", "timestamp without time zone", "timestamp with time zone"}) {
    EXPECT_EQ(field(type)["type"], "date") << type;
    EXPECT_THAT(field(type)["format"].get<std::string>(), HasSubstr("strict_date_optional_time")) << type;
  }
  EXPECT_EQ(field("bytea"), json::parse(R"({"type":"keyword","index":false,"doc_values":false})"));
  for (const char* type : {"json", "jsonb"})
    EXPECT_EQ(field(type), json::parse(R"({"type":"object","dynamic":true})")) << type;
  EXPECT_EQ(field("integer", true), field("integer")) << "an array as its elements";
}

TEST(Mapping, OnlyColumnsAndOurOwnFieldMayAppear) {
  const auto mapping = mapping_of(definition_of({{"id", "bigint"}}));
  EXPECT_EQ(mapping["dynamic"], "strict");
  EXPECT_EQ(mapping["date_detection"], false);
  EXPECT_EQ(mapping["_meta"], json::parse(R"({"anabranch":{"owner":"7/shop","generation":3,"format":1}})"));
  EXPECT_EQ(mapping["properties"].size(), 2U);
  EXPECT_EQ(mapping["properties"]["anabranch"], json::parse(R"({"dynamic":"strict","properties":{
      "mark":{"type":"binary","doc_values":true},"deleted":{"type":"long"}}})"));
  EXPECT_THAT(refusal_of([] {
                mapping_of(definition_of({{"anabranch", "text"}}));
              }),
              HasSubstr("a column is named \"anabranch\""));
}

TEST(Mapping, TheOptionOverridesColumns) {
  EXPECT_EQ(field_with("text", {{"type", "text"}, {"analyzer", "english"}}),
            json::parse(
                R"({"type":"text","analyzer":"english","fields":{"keyword":{"type":"keyword","ignore_above":8191}}})"));
  EXPECT_EQ(field_with("text", {{"analyzer", "english"}, {"fields", nullptr}}),
            json::parse(R"({"type":"text","analyzer":"english"})"));
  EXPECT_EQ(field_with("text", json::parse(R"({"fields":{"keyword":{"ignore_above":10},"raw":{"type":"wildcard"}}})")),
            json::parse(R"({"type":"text","fields":{"keyword":{"type":"keyword","ignore_above":10},
                            "raw":{"type":"wildcard"}}})"));
  EXPECT_EQ(field_with("public.vector", json::parse(R"({"type":"knn_vector","dimension":3})")),
            json::parse(R"({"type":"knn_vector","dimension":3})"))
      << "another type has other members";
  EXPECT_EQ(field_with("jsonb", {{"type", "geo_point"}}), json::parse(R"({"type":"geo_point"})"));
  EXPECT_EQ(field_with("jsonb", {{"type", "nested"}}), json::parse(R"({"type":"nested","dynamic":true})"));
  EXPECT_EQ(field_with("jsonb", json::parse(R"({"dynamic":"strict","properties":{"zip":{"type":"keyword"}}})")),
            json::parse(R"({"type":"object","dynamic":"strict","properties":{"zip":{"type":"keyword"}}})"));
  const auto mapping = mapping_of(
      definition_of({{"t", "text"}}, json::parse(R"({"mapping":{"t":{"copy_to":"all"},"all":{"type":"text"}}})")));
  EXPECT_EQ(mapping["properties"]["all"], json::parse(R"({"type":"text"})"));
}

TEST(Mapping, OptionsOfAnotherShapeAreRefused) {
  for (const char* options : {R"({"mapping":[]})", R"({"mapping":{"c":"text"}})", R"({"mapping":{"c":{}}})",
                              R"({"mapping":{"anabranch":{"type":"text"}}})"})
    EXPECT_NE(refusal_of([&] { mapping_of(definition_of({{"c", "text"}}, json::parse(options))); }), "") << options;
  EXPECT_NE(refusal_of([] { settings_of(definition_of({}, json::parse(R"({"settings":1})"))); }), "");
}

TEST(Mapping, SettingsAreSpelledInThreeWays) {
  EXPECT_EQ(settings_of(definition_of({})), json::parse(R"({"index":{"refresh_interval":"-1","gc_deletes":"1h"}})"));
  for (const char* given : {R"({"refresh_interval":"5s","number_of_shards":2})",
                            R"({"index.refresh_interval":"5s","index.number_of_shards":2})",
                            R"({"index":{"refresh_interval":"5s","number_of_shards":2}})"})
    EXPECT_EQ(settings_of(definition_of({}, {{"settings", json::parse(given)}})),
              json::parse(R"({"index":{"refresh_interval":"5s","gc_deletes":"1h","number_of_shards":2}})"))
        << given;
}

}  // namespace
}  // namespace anabranch
