// Changed rows of a copy's sources, as ephemeral relations that the copy's statements read: delta_1, delta_2, ...
//
// They come as a Delta (extension/delta.proto) or, in a fill, straight from the source table: either way the same two
// statements run over them, so that fill and stream cannot come to different results.
#pragma once

#include "extension/postgres.hpp"

extern "C" {
#include <utils/tuplestore.h>
}

#include <string_view>

#include "extension/copy.hpp"

namespace anabranch {

struct FillFilter;  // fill.hpp

/// Changed rows per source. Lives in the memory context that was current when it was opened, until the end of the call;
/// what it spilled to disk is freed by close_changes or by the error that ends the transaction.
struct Changes {
  Copy* copy;
  Tuplestorestate** stores;  // by ordinal - 1
  int64 rows;                // signed rows put in, weight counted
  bool truncate;             // the copy is to be emptied first
  MemoryContext scratch;     // for the values of one row
  Datum* values;
  bool* nulls;
};

Changes open_changes(Copy* copy);
void close_changes(Changes* changes);

/// Reads a Delta into the relations. Raises data_corrupted for bytes that are none. `filter` (nullptr: none) decides
/// which rows count while the copy is being filled. Output settings must be pinned, and the context be restricted
/// (as_restricted): values are read with the rights of reader_of.
void read_delta(Changes* changes, std::string_view delta, const FillFilter* filter);

/// Adds a row whose values are in changes->values and changes->nulls, in the order of source.numbers, with this weight.
/// `key` is the row key's bytes (class rows; ignored otherwise).
void put_row(Changes* changes, CopySource* source, std::string_view key, int64 weight);

/// The bytes of a row's key or image, for class rows: the fields themselves, or a digest of them when they are long.
Datum row_key(std::string_view image);

}  // namespace anabranch
