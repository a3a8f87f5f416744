// A definition's query as the rewriting takes it: parsed and analysed as its author meant it, views expanded, CTEs put
// in place, and every clause refused that is not kept incrementally, with the reason and the remedy.
#pragma once

#include "extension/postgres.hpp"

namespace anabranch {

/// A table that a definition reads. Lives in the memory context that was current when the query was analysed.
struct Source {
  Oid relation = InvalidOid;
  int ordinal = 0;                  // from 1, in order of first appearance
  Bitmapset* referenced = nullptr;  // attribute numbers that the query needs
  List* named = NIL;                // int list: referenced, ascending; set by identify_rows
  List* columns = NIL;              // int list: referenced and key, ascending; set by identify_rows
  List* key = NIL;                  // int list: what identifies a row; empty: the whole row image
  bool needs_full_rows = false;     // old rows must hold every column of `columns`
};

/// The analysed query. After prune() every level of the tree selects from one relation, one subquery, or is a UNION
/// ALL.
struct Definition {
  Query* top = nullptr;
  Query* grouped = nullptr;  // the level that aggregates, somewhere on the way down from `top`; nullptr: class rows
  List* sources = NIL;       // of Source*
};

/// Parses and analyses `text` with the search_path in force and the rights of the current user. Raises with reason and
/// remedy when the query cannot be kept. Takes AccessShareLock on the tables it names.
Definition analyse_query(const char* text);

/// The one element of the FROM list of a level that is no UNION ALL.
RangeTblEntry* only_relation(const Query* query);

}  // namespace anabranch
