#include "sidecar/index/mapping.hpp"

#include <algorithm>
#include <array>
#include <string>
#include <utility>

#include <fmt/format.h>

namespace anabranch {
namespace {

using nlohmann::json;

constexpr int format_version = 1;  // of what we keep in an index: there for good
// A longer term would be refused, and its document with it: 32,766 bytes, at most four a character.
constexpr int keyword_characters_max = 8191;
// What to_jsonb prints of dates and timestamps, and what people put there themselves.
constexpr const char* date_format = "strict_date_optional_time_nanos||strict_date_optional_time||epoch_millis";

[[noreturn]] void refuse(const std::string& problem, const std::string& remedy) {
  throw IndexError(IndexError::Kind::refused, problem, remedy);
}

json keyword() {
  return {{"type", "keyword"}, {"ignore_above", keyword_characters_max}};
}

json field_of(const IndexColumn& column) {
  using Pair = std::pair<std::string_view, const char*>;
  static constexpr std::array exact{Pair{"boolean", "boolean"}, Pair{"smallint", "short"}, Pair{"integer", "integer"},
                                    Pair{"bigint", "long"}, Pair{"oid", "long"}};
  static constexpr std::array lenient{Pair{"real", "float"}, Pair{"double precision", "double"},
                                      Pair{"numeric", "double"}};
  static constexpr std::array<std::string_view, 6> texts{"text",  "character varying", "character", "\"char\"", "name",
                                                         "citext"};
  static constexpr std::array<std::string_view, 3> dates{"date", "timestamp without time zone",
                                                         "timestamp with time zone"};
  const auto is = [&](const Pair& pair) { return pair.first == column.type; };
  if (const auto found = std::find_if(exact.begin(), exact.end(), is); found != exact.end())
    return {{"type", found->second}};
  if (const auto found = std::find_if(lenient.begin(), lenient.end(), is); found != lenient.end())
    return {{"type", found->second}, {"ignore_malformed", true}};
  if (std::find(texts.begin(), texts.end(), column.type) != texts.end())
    return {{"type", "text"}, {"fields", {{"keyword", keyword()}}}};
  if (std::find(dates.begin(), dates.end(), column.type) != dates.end())
    return {{"type", "date"}, {"format", date_format}, {"ignore_malformed", true}};
  if (column.type == "bytea") return {{"type", "keyword"}, {"index", false}, {"doc_values", false}};
  if (column.type == "json" || column.type == "jsonb") return {{"type", "object"}, {"dynamic", true}};
  return keyword();
}

// A mapping of another type has other members: only one of the same is merged.
json merged(json field, const json& given) {
  if (given.contains("type") && given["type"] != field["type"])
    field = given;
  else
    field.merge_patch(given);
  // The root's "strict" would go for what is inside, too.
  const bool has_fields = !field.contains("type") || field["type"] == "object" || field["type"] == "nested";
  if (has_fields && !field.contains("dynamic")) field["dynamic"] = true;
  return field;
}

json object_option(const IndexDefinition& definition, const char* name) {
  const auto option = definition.options.find(name);
  if (option == definition.options.end()) return json::object();
  if (!option->is_object()) refuse(fmt::format("the option \"{}\" is no JSON object", name), "write it as one");
  return *option;
}

// Merges `given` into an index's settings, whose names may be spelled in three ways.
void add_settings(json& index, const json& given) {
  constexpr std::string_view prefix = "index.";
  for (const auto& [name, value] : given.items()) {
    if (name == "index" && value.is_object())
      add_settings(index, value);
    else if (name.starts_with(prefix))
      index[name.substr(prefix.size())] = value;
    else
      index[name] = value;
  }
}

}  // namespace

json mapping_of(const IndexDefinition& definition) {
  json given = object_option(definition, "mapping");
  json fields = json::object();
  for (const IndexColumn& column : definition.columns) {
    if (column.name == own_field)
      refuse(fmt::format("a column is named \"{}\", as a field of our own is", own_field),
             "give it another name in the copy's query");
    fields[column.name] = field_of(column);
  }
  for (const auto& [name, field] : given.items()) {
    if (name == own_field)
      refuse(fmt::format("the option \"mapping\" has a field \"{}\", which is our own", name), "leave it out");
    if (!field.is_object() || field.empty())
      refuse(fmt::format("the option \"mapping\" has no JSON object for \"{}\"", name),
             R"(write it as in {"description": {"type": "text", "analyzer": "english"}})");
    if (fields.contains(name))
      fields[name] = merged(std::move(fields[name]), field);
    else
      fields[name] = field;
  }
  fields[own_field] = {{"dynamic", "strict"},
                       {"properties",
                        {{"mark", {{"type", "binary"}, {"doc_values", true}}},
                         {"deleted", {{"type", "long"}}}}}};  // the version of a tombstone; documents have none
  // A number that is a text in another row is no reason to refuse that one.
  json templates = json::array();
  for (const char* type : {"long", "double"})
    templates.push_back(
        {{type, {{"match_mapping_type", type}, {"mapping", {{"type", type}, {"ignore_malformed", true}}}}}});
  return {
      {"dynamic", "strict"},
      {"date_detection", false},  // nor a text that happened to look like a date in the first row
      {"dynamic_templates", templates},
      {"_meta",
       {{own_field, {{"owner", definition.owner}, {"generation", definition.generation}, {"format", format_version}}}}},
      {"properties", fields}};
}

json settings_of(const IndexDefinition& definition) {
  // We refresh ourselves. What is deleted is remembered for as long as a write may come late.
  json index = {{"refresh_interval", "-1"}, {"gc_deletes", "1h"}};
  add_settings(index, object_option(definition, "settings"));
  return {{"index", index}};
}

}  // namespace anabranch
