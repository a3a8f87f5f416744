// What the publisher does to rows as bytes (protobuf messages whose field numbers are attribute numbers).
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace anabranch {

// `row` with those of `columns` that it lacks and `source` has. `missing` gets those that neither has. Both rows have
// their fields in ascending order, as the decoder writes them.
std::string fill_columns(std::string_view row, std::string_view source, const std::vector<uint32_t>& columns,
                         std::vector<uint32_t>& missing);

// A column's part of a row.
struct RowField {
  uint32_t number = 0;
  size_t bytes = 0;  // with tag and length
};
// The fields of a row, the largest first.
std::vector<RowField> fields_by_size(std::string_view row);

// `row` without some columns.
std::string without_columns(std::string_view row, const std::vector<uint32_t>& columns);

}  // namespace anabranch
