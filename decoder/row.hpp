// A tuple of the log to the bytes of a row.
#pragma once

#include "extension/postgres.hpp"

#include <type_traits>

#include "decoder/record.hpp"
#include "decoder/value.hpp"
#include "decoder/wire.hpp"

namespace anabranch {

// How one column of a relation's tuples goes into a row. Made with the relation's entry and lives as long.
struct Column {
  uint32_t number = 0;      // in the publishing root
  int source = 0;           // index in the tuple's own descriptor, which a leaf partition may have differently
  bool is_varlena = false;  // may be out of line or compressed
  bool in_identity = false;
  bool in_primary_key = false;  // of the publishing root
  bool has_failed = false;      // its output function has raised before: run it in a subtransaction from now on
  ValueType type;
};

struct Field {
  const Column* column;
  Value value;
};

// Values above this go into fragments, as do those above the smaller bound when the row is still larger than
// row_size_max without the former. So a record stays far below the 1 GB that a buffer of the server can hold, and
// readers can bound their memory.
inline constexpr size_t value_size_max = 1024 * 1024;
inline constexpr size_t row_size_max = 64 * 1024 * 1024;
inline constexpr size_t value_size_max_in_large_row = 16 * 1024;
inline constexpr size_t fragment_size = 1024 * 1024;

// One old or new row, ready to be written. The arrays have room for every column and live with the relation's entry;
// the values are valid until the memory context of the change is reset.
struct Row {
  size_t size = 0;  // bytes of the fields
  Field* fields = nullptr;
  int field_count = 0;
  Field* large = nullptr;  // values to be sent in fragments
  int large_count = 0;
  uint32_t* unchanged = nullptr;
  int unchanged_count = 0;
  record::Omitted* omitted = nullptr;
  int omitted_count = 0;
  record::Gaps gaps;

  void allocate(int column_count);  // in the current memory context
  void clear();

  void add(const Column& column, const Value& value) {
    fields[field_count++] = Field{&column, value};
    size += value_field_size(column.number, column.type, value);
  }
  void omit(const Column& column, const char* sqlstate, const char* reason) {
    omitted[omitted_count++] = record::Omitted{column.number, sqlstate, reason};
  }
  // Omits all of them: the row could not be judged by its filter.
  void omit_all(const Column* columns, int count, const char* sqlstate, const char* reason) {
    clear();
    for (int i = 0; i < count; ++i) omit(columns[i], sqlstate, reason);
    finish();
  }
  // Moves what is too large into `large` and fills `gaps`; to be called once all columns are in.
  void finish();

  void write(wire::Writer& writer) const {
    for (const Field* field = fields; field != fields + field_count; ++field)
      write_value(writer, field->column->number, field->column->type, field->value);
  }
  record::List<uint32_t> unchanged_list() const { return {unchanged, static_cast<size_t>(unchanged_count)}; }
};

static_assert(std::is_trivially_destructible_v<Row>);

// Calls append(record::Fragment) for the pieces of the row's large values; they come before the row.
template <typename Append>
void each_fragment(const Row& row, bool is_before, uint32_t relation, Append append) {
  for (int i = 0; i < row.large_count; ++i) {
    const Field& field = row.large[i];
    for (size_t offset = 0; offset < field.value.size; offset += fragment_size) {
      size_t size = Min(fragment_size, field.value.size - offset);
      append(record::Fragment{is_before, field.column->number, offset, field.value.size,
                              std::string_view(field.value.data + offset, size), relation});
    }
  }
}

// A tuple taken apart: indexed like the tuple's own descriptor.
struct Tuple {
  Datum* values = nullptr;
  bool* nulls = nullptr;
};

// Fills `row` with those columns of `tuple` that are not NULL. `fallback`, if any, is the old version of the row: an
// unchanged out-of-line value is taken from it where it has one; where not, `unchanged_is_gap` says whether the value
// is listed as unchanged or as omitted. Runs output functions in the current memory context and may raise; *at holds
// the column at work.
void prepare_row(Column* columns, int column_count, const Tuple& tuple, const Tuple* fallback, bool unchanged_is_gap,
                 Row* row, Column** at);

}  // namespace anabranch
