// The fields of one row, by column.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "decoder/wire.hpp"
#include "sidecar/log/change_log.hpp"

namespace anabranch {

// Reads rows of one relation; the next row takes the place of the last. Fields point into the row that was read.
class RowFields {
 public:
  explicit RowFields(const Relation& relation);

  // Throws FormatError on bytes that are no row of the relation.
  void read(std::string_view row);

  // Of the column at that place in Relation::columns; nullptr: NULL or not sent.
  const wire::Field* at(size_t column) const { return rows_[column] == row_ ? &fields_[column] : nullptr; }

 private:
  const Relation& relation_;
  std::vector<uint32_t> column_of_;  // by attribute number: place + 1; 0: no such column
  std::vector<wire::Field> fields_;  // by column
  std::vector<uint64_t> rows_;       // by column: the row that last had it
  uint64_t row_ = 1;
};

}  // namespace anabranch
