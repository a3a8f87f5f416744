// Tables and rows for the tests of formats.
#pragma once

#include <bit>
#include <string>
#include <utility>
#include <vector>

#include "decoder/wire.hpp"
#include "sidecar/publish/format.hpp"

namespace anabranch::test {

inline Column make_column(uint32_t number, std::string name, std::string type, Encoding encoding,
                          int32_t modifier = -1) {
  Column column;
  column.number = number;
  column.name = std::move(name);
  column.type_schema = "pg_catalog";
  column.type_name = std::move(type);
  column.encoding = encoding;
  column.type_modifier = modifier;
  return column;
}

inline Relation make_relation(std::vector<Column> columns) {
  Relation relation;
  relation.oid = 16384;
  relation.schema = "public";
  relation.name = "item";
  relation.columns = std::move(columns);
  return relation;
}

inline TableToFormat table_of(const Relation& relation, std::vector<uint32_t> key = {1}) {
  return {.relation = &relation, .fingerprint = 1, .topic = "shop.public.item", .key_columns = std::move(key)};
}

// The fields of a row, in the order they are added.
class Fields {
 public:
  Fields& integer(uint32_t number, int64_t value) { return varint(number, wire::zigzag(value)); }
  Fields& varint(uint32_t number, uint64_t value) {
    char field[20];
    wire::Writer writer(field);
    writer.varint_field(number, value);
    bytes_.append(field, writer.at());
    return *this;
  }
  Fields& text(uint32_t number, std::string_view value) {
    std::string field(wire::bytes_field_size(number, value.size()), '\0');
    wire::Writer(field.data()).bytes_field(number, value.data(), value.size());
    bytes_ += field;
    return *this;
  }
  Fields& float4(uint32_t number, float value) {
    char field[20];
    wire::Writer writer(field);
    writer.fixed32_field(number, std::bit_cast<uint32_t>(value));
    bytes_.append(field, writer.at());
    return *this;
  }
  Fields& float8(uint32_t number, double value) {
    char field[20];
    wire::Writer writer(field);
    writer.fixed64_field(number, std::bit_cast<uint64_t>(value));
    bytes_.append(field, writer.at());
    return *this;
  }
  operator std::string() const { return bytes_; }

 private:
  std::string bytes_;
};

// 2026-11-21 06:07:30.185973 UTC, transaction 7, which ends at 0/100.
inline PublishedUnit make_unit() {
  PublishedUnit unit;
  unit.xid = 7;
  unit.commit_time = 848'556'450'185'973;
  unit.commit_lsn = Lsn(0xf0);
  unit.end_lsn = Lsn(0x100);
  return unit;
}

}  // namespace anabranch::test
