// The aggregates that are kept incrementally, and what is kept for them: counters from which PostgreSQL's own result
// follows exactly, whatever was added and taken away in between.
//
// Aggregates over one argument share its counters. An argument under FILTER is one of its own: CASE WHEN filter THEN
// argument END, for every aggregate here passes over NULL. For argument k the state table holds, as needed:
//
//   anabranch_n<k> bigint    how many values are not NULL; left out where none can be
//   anabranch_t<k> bigint    how many are true
//   anabranch_s<k>           their sum: bigint for smallint and integer, numeric, money, interval
//   anabranch_q<k> numeric   the sum of their squares
//   anabranch_c<k> bigint[]  numeric only: how many are NaN, Infinity, -Infinity, and have display scale 0, 1, 2, ...
//
// NaN and the infinities are not in sum and squares: they could not be taken away again.
#pragma once

#include "extension/postgres.hpp"

namespace anabranch {

/// An argument of aggregates, and the counters it needs.
struct Argument {
  Node* expression;
  int number;  // from 1
  Oid type;    // its base type
  bool truths, sum, squares;
  bool never_null;  // every row has a value: anabranch_rows counts them, there is no anabranch_n<k>
};

/// A distinct aggregate call of the query.
struct Call {
  Aggref* aggregate;
  Argument* argument;  // nullptr: count(*)
};

struct Aggregates {
  List* arguments = NIL;  // of Argument*
  List* calls = NIL;      // of Call*
};

/// Adds the call if it is not yet there and returns its number, from 1. `level` is the query that the call stands in.
/// Raises, with reason and remedy, when such an aggregate is not kept.
int add_call(Aggregates* aggregates, const Query* level, Aggref* aggregate);

/// A hidden column of the state table.
struct Counter {
  const char* name;
  const char* type;
  const char* fold;  // from the core's a<k> and anabranch_w to the signed part of a delta; NULL only for no row at all
  const char* zero;
  const char* add;  // from %1$s (kept) and %2$s (part) to what is kept then
};

/// The counters of an argument, as a list of Counter*.
List* counters_of(const Argument* argument);

/// The result of a call, from the counters; what several results need stands in the outputs of derived_of.
const char* result_of(const Call* call);

/// Expressions over the counters, each with a name, that results of the argument's calls refer to: a list of lists of
/// strings "expression AS name", one list per stage, each stage over the one before.
List* derived_of(const Argument* argument);

}  // namespace anabranch
