#include "sidecar/publish/avro_schema.hpp"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "decoder/table_proto.hpp"
#include "sidecar/publish/column_type.hpp"

namespace anabranch {
namespace {

using json = nlohmann::ordered_json;

json logical(const char* type, const char* logical_type) {
  return {{"type", type}, {"logicalType", logical_type}};
}

// An array stands as PostgreSQL's text: how many dimensions it has is a matter of the value, which no schema can say.
json type_of(const Column& column) {
  const auto described = describe_column(column);
  if (described.is_array) return "string";
  switch (described.type) {
    case ColumnType::boolean:
      return "boolean";
    case ColumnType::int2:
    case ColumnType::int4:
      return "int";
    case ColumnType::int8:
    case ColumnType::oid:
      return "long";
    case ColumnType::float4:
      return "float";
    case ColumnType::float8:
      return "double";
    case ColumnType::bytes:
    case ColumnType::raw_text:
      return "bytes";
    case ColumnType::date:
      return logical("int", "date");
    case ColumnType::time:
      return logical("long", "time-micros");
    case ColumnType::timestamp:
      return logical("long", "local-timestamp-micros");
    case ColumnType::timestamptz:
      return logical("long", "timestamp-micros");
    case ColumnType::text:
      break;
  }
  return "string";
}

json nullable(const char* name, json type) {
  return {{"name", name}, {"type", json::array({"null", std::move(type)})}, {"default", nullptr}};
}

json field(const char* name, json type) {
  return {{"name", name}, {"type", std::move(type)}};
}

json record(const char* name, json fields) {
  return {{"type", "record"}, {"name", name}, {"fields", std::move(fields)}};
}

json column_field(const Column& column, bool may_be_null) {
  const auto name = avro_name(column.name);
  auto made = may_be_null ? nullable(name.c_str(), type_of(column)) : field(name.c_str(), type_of(column));
  if (name != column.name) made["doc"] = column.name;
  return made;
}

json row_record(const Relation& relation) {
  json fields = json::array();
  for (const auto& column : relation.columns) fields.push_back(column_field(column, true));
  return record("Value", std::move(fields));
}

// The record's members with its namespace after its name, where people look for it.
std::string finish(const json& made, std::string_view topic) {
  std::string scope;
  for (size_t at = 0; at <= topic.size();) {
    const auto end = std::min(topic.find('.', at), topic.size());
    if (!scope.empty()) scope += '.';
    scope += avro_name(topic.substr(at, end - at));
    at = end + 1;
  }
  const json schema = {{"type", "record"}, {"name", made["name"]}, {"namespace", scope}, {"fields", made["fields"]}};
  return schema.dump();
}

}  // namespace

std::string avro_name(std::string_view name) {
  std::string out;
  table_proto::Characters characters(name);
  for (char c = characters.next(); c != '\0'; c = characters.next()) out += c;
  return out.empty() ? "_" : out;
}

bool is_nullable_in_key(const Relation& relation, const Column& column) {
  if (column.in_primary_key) return false;
  return !(column.in_identity && relation.replica_identity == ReplicaIdentity::index);
}

std::string avro_key_schema(const Relation& relation, const std::vector<uint32_t>& key_columns,
                            std::string_view topic) {
  json fields = json::array();
  for (const auto& column : relation.columns)
    if (std::find(key_columns.begin(), key_columns.end(), column.number) != key_columns.end())
      fields.push_back(column_field(column, is_nullable_in_key(relation, column)));
  return finish(record("Key", std::move(fields)), topic);
}

std::string avro_row_schema(const Relation& relation, std::string_view topic) {
  return finish(row_record(relation), topic);
}

std::string avro_envelope_schema(const Relation& relation, std::string_view topic) {
  const auto source =
      record("Source",
             {field("version", "string"), field("connector", "string"), field("name", "string"), field("ts_ms", "long"),
              field("snapshot", "string"), field("db", "string"), nullable("sequence", "string"),
              field("schema", "string"), field("table", "string"), nullable("txId", "long"), nullable("lsn", "long"),
              nullable("xmin", "long"), nullable("origin", "string")});
  const auto transaction = record(
      "Transaction", {field("id", "string"), field("total_order", "long"), field("data_collection_order", "long")});
  const auto omitted =
      record("Omitted", {field("column", "string"), field("sqlstate", "string"), field("reason", "string")});
  auto omitted_before = field("omitted_before", {{"type", "array"}, {"items", omitted}});
  auto omitted_after = field("omitted_after", {{"type", "array"}, {"items", "Omitted"}});
  omitted_before["default"] = json::array();
  omitted_after["default"] = json::array();
  return finish(record("Envelope", {nullable("before", row_record(relation)), nullable("after", "Value"),
                                    field("source", source), field("op", "string"), nullable("ts_ms", "long"),
                                    nullable("transaction", transaction), omitted_before, omitted_after}),
                topic);
}

}  // namespace anabranch
