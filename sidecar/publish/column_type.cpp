#include "sidecar/publish/column_type.hpp"

namespace anabranch {
namespace {

// Elements of arrays stand as text in a row: their type is known by name alone.
ColumnType element_type(std::string_view name) {
  struct Named {
    std::string_view name;
    ColumnType type;
  };
  constexpr Named named[] = {
      {"bool", ColumnType::boolean},
      {"int2", ColumnType::int2},
      {"int4", ColumnType::int4},
      {"int8", ColumnType::int8},
      {"oid", ColumnType::oid},
      {"float4", ColumnType::float4},
      {"float8", ColumnType::float8},
      {"bytea", ColumnType::bytes},
      {"date", ColumnType::date},
      {"time", ColumnType::time},
      {"timestamp", ColumnType::timestamp},
      {"timestamptz", ColumnType::timestamptz},
  };
  for (const auto& each : named)
    if (each.name == name) return each.type;
  return ColumnType::text;
}

}  // namespace

FormatColumn describe_column(const Column& column) {
  FormatColumn described{.column = &column};
  const bool is_ours = column.type_schema == "pg_catalog";
  switch (column.encoding) {
    case Encoding::boolean:
      described.type = ColumnType::boolean;
      break;
    case Encoding::integer:
      // Of a domain only the encoding is known, and int8 holds them all.
      described.type = is_ours && column.type_name == "int2"   ? ColumnType::int2
                       : is_ours && column.type_name == "int4" ? ColumnType::int4
                                                               : ColumnType::int8;
      break;
    case Encoding::oid:
      described.type = ColumnType::oid;
      break;
    case Encoding::float4:
      described.type = ColumnType::float4;
      break;
    case Encoding::float8:
      described.type = ColumnType::float8;
      break;
    case Encoding::bytes:
      described.type = ColumnType::bytes;
      break;
    case Encoding::date:
      described.type = ColumnType::date;
      break;
    case Encoding::time:
      described.type = ColumnType::time;
      break;
    case Encoding::timestamp:
      described.type = is_ours && column.type_name == "timestamptz" ? ColumnType::timestamptz : ColumnType::timestamp;
      break;
    case Encoding::raw_text:
      described.type = ColumnType::raw_text;
      break;
    case Encoding::text:
      if (column.type_name.size() > 1 && column.type_name[0] == '_') {
        described.is_array = true;
        if (is_ours) described.type = element_type(std::string_view(column.type_name).substr(1));
        if (is_ours && column.type_name == "_box") described.delimiter = ';';
      }
      break;
  }
  return described;
}

}  // namespace anabranch
