#include "extension/postgres.hpp"

#include "decoder/row.hpp"

#include "decoder/guard.hpp"

namespace anabranch {

namespace {

bool is_out_of_line(Datum value) {
  return VARATT_IS_EXTERNAL_ONDISK(DatumGetPointer(value));
}

// One value printed inside a guard of its own, after its function has raised before. Nothing of the function's state is
// kept between calls, since an error may have left it half made.
struct Careful {
  ValueType type;
  Datum datum;
  Value value;
};

void print_carefully(void* argument) {
  auto* careful = static_cast<Careful*>(argument);
  fmgr_info_cxt(careful->type.output.fn_oid, &careful->type.output, CurrentMemoryContext);
  careful->value = output_value(careful->type, careful->datum);
}

// Returns false when the value cannot be had, with the reason in `failure`.
bool prepare_carefully(const Column& column, Datum datum, Value* value, Failure* failure) {
  MemoryContext caller = CurrentMemoryContext;
  MemoryContext own = AllocSetContextCreate(caller, "anabranch value", ALLOCSET_DEFAULT_SIZES);
  Careful careful{column.type, datum, {}};
  bool is_large = column.is_varlena && toast_raw_datum_size(datum) >= value_size_max;
  MemoryContextSwitchTo(own);
  bool succeeded;
  if (column.type.output.fn_oid != InvalidOid) {
    succeeded = guard_in_subtransaction(print_carefully, &careful, is_large, failure);
  } else {
    auto take = [](void* argument) {
      auto* at = static_cast<Careful*>(argument);
      at->value = output_value(at->type, at->datum);
    };
    succeeded = guard_in_subtransaction(take, &careful, is_large, failure);
  }
  MemoryContextSwitchTo(caller);
  if (succeeded) {
    *value = careful.value;
    return true;
  }
  // What the function had built may be close to 1 GB.
  failure->sqlstate = pstrdup(failure->sqlstate);
  failure->message = pstrdup(failure->message);
  MemoryContextDelete(own);
  return false;
}

void prepare_bytes(Column& column, Datum datum, Row* row) {
  Value value;
  if (column.has_failed) {
    Failure failure;
    if (!prepare_carefully(column, datum, &value, &failure)) {
      row->omit(column, failure.sqlstate, failure.message);
      return;
    }
  } else {
    value = output_value(column.type, datum);
  }
  // Text that is stored as it is printed is valid where the database is UTF-8; anything may come out of an output
  // function.
  if (column.type.encoding == Encoding::text && !(column.type.output_is_payload && GetDatabaseEncoding() == PG_UTF8) &&
      !text_to_utf8(&value)) {
    row->omit(column, "22P05", "the text has no equivalent in encoding \"UTF8\"");
    return;
  }
  row->add(column, value);
}

}  // namespace

void Row::allocate(int column_count) {
  fields = static_cast<Field*>(palloc(sizeof(Field) * column_count));
  large = static_cast<Field*>(palloc(sizeof(Field) * column_count));
  unchanged = static_cast<uint32_t*>(palloc(sizeof(uint32_t) * column_count));
  omitted = static_cast<record::Omitted*>(palloc(sizeof(record::Omitted) * column_count));
  clear();
}

void Row::clear() {
  size = 0;
  field_count = large_count = unchanged_count = omitted_count = 0;
  gaps = record::Gaps{};
}

void Row::finish() {
  for (size_t bound : {value_size_max, value_size_max_in_large_row}) {
    if (size <= bound || (bound != value_size_max && size <= row_size_max)) break;
    int kept = 0;
    for (int i = 0; i < field_count; ++i) {
      const Field& field = fields[i];
      if (holds_bytes(field.column->type.encoding) && field.value.size > bound) {
        size -= value_field_size(field.column->number, field.column->type, field.value);
        large[large_count++] = field;
      } else {
        fields[kept++] = field;
      }
    }
    field_count = kept;
  }
  gaps.omitted = {omitted, static_cast<size_t>(omitted_count)};
  if (large_count > 0) {
    auto* numbers = static_cast<uint32_t*>(palloc(sizeof(uint32_t) * large_count));
    for (int i = 0; i < large_count; ++i) numbers[i] = large[i].column->number;
    gaps.fragmented = {numbers, static_cast<size_t>(large_count)};
  }
}

void prepare_row(Column* columns, int column_count, const Tuple& tuple, const Tuple* fallback, bool unchanged_is_gap,
                 Row* row, Column** at) {
  row->clear();
  for (Column* column = columns; column != columns + column_count; ++column) {
    if (tuple.nulls[column->source]) continue;
    Datum datum = tuple.values[column->source];
    if (!column->is_varlena && !holds_bytes(column->type.encoding)) {
      row->add(*column, prepare_scalar(column->type, datum));
      continue;
    }
    *at = column;
    if (column->is_varlena && is_out_of_line(datum)) {
      // The log has only a pointer into the TOAST table, which may have moved on since.
      if (fallback && !fallback->nulls[column->source] && !is_out_of_line(fallback->values[column->source])) {
        datum = fallback->values[column->source];
      } else if (unchanged_is_gap) {
        row->omit(*column, "55000", "the value is kept out of line and did not change, so it is not in the log");
        continue;
      } else {
        row->unchanged[row->unchanged_count++] = column->number;
        continue;
      }
    }
    prepare_bytes(*column, datum, row);
  }
  row->finish();
}

}  // namespace anabranch
