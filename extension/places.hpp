// Finds the rows of a state table that partial results belong to.
#pragma once

#include "extension/postgres.hpp"

#include "extension/copy.hpp"

namespace anabranch {

/// Partial results, and where each belongs.
struct PlacedRows {
  TupleDesc description;  // the fold's columns, then anabranch_place tid
  Tuplestorestate* rows;  // spills beyond work_mem; the caller ends it
};

/// Reads `folded` and adds to each row the place of the state table's row with the same key, NULL when there is none.
///
/// A snapshot that somebody holds keeps every version of a group there ever was, and the index orders the entries of
/// equal keys by their place in the table, where a new version mostly comes last. So the last entry is tried first, and
/// only when it leads nowhere all of them are walked, backwards. (That needs an index with an entry for each version:
/// the places within a deduplicated entry are handed out in ascending order even backwards, nbtutils.c says why.)
///
/// Nothing but this keeps keys unique: a unique index would walk all versions of a key whenever it is given one more.
/// So until the transaction's end nobody else can come here for the same copy. Raises AN004 when the index over the key
/// is gone.
PlacedRows place_rows(const Copy* copy, TupleDesc description, Tuplestorestate* folded);

}  // namespace anabranch
