// The statements that keep a copy, assembled as text round the trees that rewrite.cpp makes.
//
//   core   the definition's FROM and WHERE over delta relations: group expressions, arguments of aggregates, weight
//   fold   SELECT over the core, grouped, of signed partial counters; for class rows, rows with their keys
//   merge  UPDATE by place, INSERT of what has none; returns ctid and count of rows whose count has come to 0 or below
//   shown  the view: final expressions over the counters, in subqueries that the planner pulls up, so that a condition
//          or an order on the view finds the state table's indexes (it does not see through WITH: tried)
//
// `folded` is the ephemeral relation that holds the fold's result and where each row belongs (places.hpp).
#pragma once

#include "extension/query.hpp"

namespace anabranch {

struct Statements {
  const char* columns;      // of the state table, as CREATE TABLE takes them
  const char* key_columns;  // of its index
  const char* fold;
  const char* merge;
  List* key_names;       // String nodes: columns of the state table, quoted: groups; of class rows all outputs
  const char* values;    // results from the counters: a SELECT over the state table
  RangeTblEntry* final;  // class linear: where the definition selects from those
};

/// Assembles the statements of a definition whose sources have their columns and keys. `state` is the quoted, qualified
/// name of the state table; settings must be pinned. Uses the definition up: its trees are changed. Raises when an
/// aggregate is not kept or a type cannot be a group key.
Statements make_statements(Definition* definition, const char* state);

/// The query of the view. The state table must have been made, and settings be pinned.
const char* make_shown(const Definition& definition, const Statements& statements);

/// Name and type of a column as in CREATE TABLE, in search of nothing.
const char* column_definition(const char* name, Oid type, int32 modifier, Oid collation);

}  // namespace anabranch
