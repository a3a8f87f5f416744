// A copy as its statements need it, kept for the session: sources with their columns and types, owner, prepared plans.
//
// Lifecycle: load_copy makes an entry at the first use and hands out the same one until something happens to the copy's
// view or state table (dropped, replaced, given another owner), which the relation cache tells. A replaced entry is
// freed when nobody can be using it any more: at the next load.
#pragma once

#include "extension/postgres.hpp"

extern "C" {
#include <executor/spi.h>
}

#include "decoder/value.hpp"

namespace anabranch {

/// A relation the copy reads, and the ephemeral relation delta_<ordinal> that stands for its changed rows.
///
/// The columns of delta_<ordinal> are the referenced ones under their names in ascending order of attribute numbers,
/// then anabranch_key (class rows only), then anabranch_w.
struct CopySource {
  int ordinal;
  Oid relation;
  char delta_name[NAMEDATALEN];
  TupleDesc delta;      // of delta_<ordinal>
  int column_count;     // referenced columns: the first ones of `delta`
  AttrNumber* numbers;  // their attribute numbers, ascending
  ValueType* types;     // and types
  int* place_of;        // by attribute number: index of the column, or -1
  int number_max;       // greatest attribute number in `place_of`
  int key_count;        // 0: the whole row image identifies a row
  int* key;             // indexes of the columns of the row key
};

struct Copy {
  Oid oid;    // of the view
  Oid state;  // of the table below it
  Oid owner;  // of the view: user expressions run as this role
  Oid state_owner;
  bool rows_class;
  int source_count;
  CopySource* sources;  // by ordinal - 1
  char* fold_text;
  char* merge_text;
  char* shown_view;
  SPIPlanPtr fold;  // nullptr until first run
  SPIPlanPtr merge;
  bool valid;
  MemoryContext context;  // all of the above lives here
};

/// Finds the copy. Raises AN004 when there is no such definition (any more). Needs SPI connected, as the extension's
/// owner.
Copy* load_copy(Oid copy);

/// Whose rights a row of the source is read with from bytes, security-restricted (as_restricted): input functions run
/// the checks of domains inside composite types and arrays, as every INSERT by the table's owner does. The copy's owner
/// when the table is gone.
Oid reader_of(const Copy* copy, const CopySource& source);

/// The source with this ordinal; raises when there is none.
CopySource& source_of(Copy* copy, uint64_t ordinal);

}  // namespace anabranch
