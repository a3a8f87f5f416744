// The .proto of a table from its description in the log: what anabranch.proto_schema() said when the change was made.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "sidecar/log/change_log.hpp"

namespace anabranch {

// Messages: Change, the row, and Key where there are key columns.
std::string relation_proto(const Relation& relation, const std::vector<uint32_t>& key_columns);
// Key alone.
std::string relation_key_proto(const Relation& relation, const std::vector<uint32_t>& key_columns);

// The place of messages in the file of relation_proto(): there for good, records name it.
inline constexpr int change_message = 0, row_message = 1;

}  // namespace anabranch
