// The old and the new row of a change, column by column, for formats that write every column.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "sidecar/publish/format.hpp"
#include "sidecar/publish/row_fields.hpp"

namespace anabranch {

// What stands, in Debezium's formats, for a value that is not NULL and not known. There for good: readers compare.
inline constexpr std::string_view unavailable_value = "__debezium_unavailable_value";

class ChangeRows {
 public:
  enum class State : uint8_t { null, value, unavailable };

  explicit ChangeRows(const Relation& relation);

  // Throws FormatError. The change must live while it is asked about.
  void read(const PublishedChange& change);

  // Of the column at that place in Relation::columns. `field` is set with State::value. A value that did not change
  // and was not sent is taken from the old row where that has it.
  State before(size_t column, const wire::Field*& field) const;
  State after(size_t column, const wire::Field*& field) const;

  // For RelationFormat::latest(): false where the change leaves no row. Throws FormatError as is said there.
  bool leaves_row(const PublishedChange& change) const;

 private:
  enum Mark : uint8_t { unchanged = 1, before_gap = 2, after_gap = 4 };

  void mark(uint32_t number, Mark mark);
  bool is_marked(size_t column, Mark mark) const { return has_marks_ && (marks_[column] & mark) != 0; }

  const Relation& relation_;
  RowFields before_, after_;
  std::vector<uint8_t> marks_;  // by column
  bool has_marks_ = false;
};

}  // namespace anabranch
