// Rows cut down to the columns that somebody needs.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "decoder/wire.hpp"

namespace anabranch {

// A set of columns, and rows projected to it: only their fields, ascending, each as the decoder wrote it. So two rows
// that agree in these columns have the same image. Immutable; project() and merge() throw LogError(damaged) for bytes
// that are no row.
class Projection {
 public:
  explicit Projection(const std::vector<uint32_t>& columns);

  bool contains(uint32_t number) const { return number < wanted_.size() && wanted_[number] != 0; }
  bool empty() const { return wanted_.empty(); }

  // Writes the image of `row` at `out`, which has room for row.size() bytes; returns its size.
  size_t project(std::string_view row, char* out) const;

  // The same for a row that lacks the columns `unchanged`: they are taken from `before`. Room: row.size() +
  // before.size(). nullopt, with `missing` set, when one of them is wanted and not in `before`.
  std::optional<size_t> merge(std::string_view row, std::string_view before, const std::vector<uint32_t>& unchanged,
                              char* out, uint32_t& missing) const;

 private:
  struct Part {
    uint32_t number;
    std::string_view bytes;  // the field, tag included
  };
  void collect(std::string_view row, std::vector<Part>& parts) const;
  static size_t write_sorted(std::vector<Part>& parts, char* out);

  std::vector<uint8_t> wanted_;  // by column number
};

// The first field of that number; nullopt when the row has none (the column is NULL).
std::optional<wire::Field> find_field(std::string_view row, uint32_t number);

}  // namespace anabranch
