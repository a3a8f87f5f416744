#include "sidecar/publish/relation_proto.hpp"

#include <algorithm>

#include "decoder/table_proto.hpp"

namespace anabranch {
namespace {

template <typename Write>
std::string write_file(const Relation& relation, const std::vector<uint32_t>& key_columns, Write write) {
  std::vector<table_proto::Column> columns;
  for (const auto& column : relation.columns) {
    auto& described = columns.emplace_back();
    described.number = column.number;
    described.name = column.name;
    described.type_schema = column.type_schema;
    described.type_name = column.type_name;
    described.type_modifier = column.type_modifier;
    described.encoding = column.encoding;
    described.in_key = std::find(key_columns.begin(), key_columns.end(), column.number) != key_columns.end();
  }
  table_proto::Table table;
  table.schema = relation.schema;
  table.name = relation.name;
  table.generation = relation.generation;
  table.columns = columns.data();
  table.column_count = columns.size();
  table.number_max = columns.empty() ? 0 : columns.back().number;
  std::string text;
  auto append = [&text](std::string_view piece) { text += piece; };
  table_proto::File<decltype(append)> file(table, append);
  write(file);
  return text;
}

}  // namespace

std::string relation_proto(const Relation& relation, const std::vector<uint32_t>& key_columns) {
  return write_file(relation, key_columns, [](auto& file) { file.write_all(); });
}

std::string relation_key_proto(const Relation& relation, const std::vector<uint32_t>& key_columns) {
  return write_file(relation, key_columns, [](auto& file) { file.write_key_file(); });
}

}  // namespace anabranch
