// Rows as the text of jsonb, without a jsonb being made: to_jsonb(row)::text, byte by byte.
#pragma once

#include "extension/postgres.hpp"

namespace anabranch {

/// How the columns of a row stand in its text.
enum class RowJsonForm {
  values,   ///< as in to_jsonb(row)
  strings,  ///< each as a string, as jsonb_each_text(to_jsonb(row)) has it; those that are NULL are left out
  key       ///< as in to_jsonb(row), but that jsonb_populate_record makes the same of it: negative zero is a string
};

/// One column of a RowJson.
struct RowJsonColumn;

/// What is known of a row's columns once for all rows. Lives as long as the memory context it was made in.
struct RowJson {
  RowJsonForm form;
  int count;
  RowJsonColumn* columns;  // in the order in which jsonb keeps its keys
};

/// For the columns `first` to `first + count - 1`, from 0, of rows of `description`; no two of one name. Reads the
/// catalogs; raises when a type is gone.
RowJson make_row_json(TupleDesc description, int first, int count, RowJsonForm form);

/// Appends a row's text. Calls output functions, under the settings and as the user of the moment; leaves behind in the
/// current memory context what those allocate.
void append_row_json(StringInfo text, const RowJson& row, const Datum* values, const bool* nulls);

}  // namespace anabranch
