// The tables that a definition reads: which can be sources at all, and what tells their rows apart.
#pragma once

#include "extension/query.hpp"

namespace anabranch {

/// Raises, with the reason and the remedy, when changes of the table are not in the stream or not all its rows are
/// seen. `with_children`: the query did not say ONLY.
void check_table(Oid relation, bool with_children);

/// Raises when the current user may not read the columns that the query needs of the table, or when their values are
/// not in the stream.
void check_columns(const Source* source);

/// What tells the rows of a source apart in its deltas. `key`: its key, and that alone must be known of an old row.
/// `image`: what the query needs of them; the key, if there is one, is wanted as well, to fill by ranges of it.
/// `image_only`: no use is made of a key.
enum class RowIdentity { key, image, image_only };

/// Decides by what the rows of a source are identified and sets `columns`, `named`, `key` and `needs_full_rows`. Raises
/// when the replica identity of the table, or of one of its partitions, does not give what is needed; with `prepare` it
/// is changed instead, for which the current user must own the table.
void identify_rows(Source* source, RowIdentity wanted, bool prepare);

/// The table itself, or all partitions below it that hold rows. Takes AccessShareLock on them.
List* leaf_tables(Oid relation);

/// Quoted and qualified.
const char* table_name(Oid relation);

}  // namespace anabranch
