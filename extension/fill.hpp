// Filling a copy from its sources while changes stream in.
//
// Method, per source relation:
//   1. Chunks of the row key's order, each read under a short snapshot S_c of its own; S_c and the last key of the
//   chunk
//      are stored with the rows. A source without a key is one chunk. The last chunk has no last key: it reaches to the
//      end.
//   2. A changed row from the stream counts if its key lies in a chunk already read and its transaction is not visible
//   in
//      that chunk's S_c. A row whose chunk is still to be read does not count: by rule V its transaction is visible
//      already, so the chunk's later snapshot will see it.
//   3. When every source has its last chunk, and the stream has passed the WAL position at which the last one was read,
//      every further change counts, and the copy can join the others.
// The old and the new row of an update that moves a key are judged each by its own chunk. Derived from DBLog
// (arXiv 2010.12597), with visibility by transaction in place of its order by log position.
#pragma once

#include "extension/postgres.hpp"

#include "extension/changes.hpp"

namespace anabranch {

struct FillChunk {
  Datum* upper;    // values of the key columns; nullptr: to the end
  Datum snapshot;  // pg_snapshot
};

struct FillFilter {
  // By ordinal - 1: the chunks in key order, and how the key's columns compare.
  struct Source {
    FillChunk* chunks;
    int count;
    FmgrInfo* compare;
    Oid* collations;
  };
  Source* sources;
};

/// Reads the copy's chunks. Lives in the current memory context. Needs SPI connected. Output settings need not be
/// pinned.
FillFilter open_fill_filter(Copy* copy);

/// Whether the row in changes->values, changed by transaction `xid`, counts (point 2 of the method).
bool counts_in_fill(const FillFilter& filter, const Changes* changes, const CopySource* source, uint64 xid);

}  // namespace anabranch
