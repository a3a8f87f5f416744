// Query trees in, query trees and text out: the select-project part of a definition over delta relations and shadows.
//
// In place of each table stands the delta relation `delta_<ordinal>` (copy.hpp): the columns the definition needs,
// under their names and in the order of their numbers, then anabranch_key bytea (class rows), then anabranch_w integer,
// the weight. Key and weight are handed up through every subquery and every branch of UNION ALL; expressions are moved,
// never rewritten.
//
// Copies of rows with keys read `upsert_<ordinal>` instead: the rows of the delta that are there now. The others have a
// key and nothing else, and no expression may see them.
#pragma once

#include "extension/query.hpp"

namespace anabranch {

inline constexpr const char* key_column = "anabranch_key";
inline constexpr const char* weight_column = "anabranch_w";

const char* delta_name(int ordinal);
const char* upsert_name(int ordinal);

/// A way from a table up to the output, through branches of UNION ALL: their numbers, outermost first, precede the
/// row's own key in anabranch_key, so that one row of a table can stand in a copy once per branch.
struct Path {
  const Source* source;
  const char* prefix;  // hexadecimal
  bool filtered;       // a WHERE on the way may drop the row
};

/// `level`'s FROM and WHERE over delta relations, with the outputs `expressions` (each with its name, in step), then
/// the key if asked for, then the weight. For a UNION ALL, `expressions` must be NIL: its own outputs stay, under
/// `names`. Appends to `paths` when it is not nullptr; that also asks for the key. `upserts`: over those in place of
/// deltas.
Query* over_deltas(const Query* level, List* expressions, List* names, List* sources, List** paths, bool upserts);

/// The whole definition over shadow relations, given as an OID list in the order of the sources.
Query* over_shadows(const Query* top, List* sources, List* shadows);

/// The text of a query, every name qualified that is not in pg_catalog.
char* deparse(Query* query);

}  // namespace anabranch
