// The Avro schemas of a table: key, row, and Debezium's envelope round the row.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "sidecar/log/change_log.hpp"

namespace anabranch {

// Names of Avro are letters, digits and "_", no digit first: other bytes as _xHH, as in decoder/table_proto.hpp.
std::string avro_name(std::string_view name);

// Whether a column of a key may be NULL: of a primary key or an index that is the replica identity none may.
bool is_nullable_in_key(const Relation& relation, const Column& column);

// As JSON. Namespace: the topic's. Every field of a row is a union with null, null being its default, so that readers
// of an older and of a newer schema understand each other when columns come and go.
std::string avro_key_schema(const Relation& relation, const std::vector<uint32_t>& key_columns, std::string_view topic);
std::string avro_row_schema(const Relation& relation, std::string_view topic);
std::string avro_envelope_schema(const Relation& relation, std::string_view topic);

}  // namespace anabranch
