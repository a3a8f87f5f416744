// Row filters of publications.
//
// They are honoured as pgoutput does: an update whose old row does not pass and whose new row does becomes an insert,
// the other way round a delete. An expression that raises on a row (a division by zero) does not stop the stream: the
// row counts as passing, and all its columns are sent as omitted, so that whoever needs one of them learns of it.
#pragma once

#include "extension/postgres.hpp"

#include "decoder/guard.hpp"
#include "decoder/row.hpp"
#include "decoder/selection.hpp"

namespace anabranch {

enum class Operation { insert, update, remove };

struct Verdict {
  bool passes = true;
  bool has_failed = false;
  Failure failure;
};

// The filters of one relation, ready to be evaluated.
struct RowFilter {
  EState* state;
  TupleTableSlot* slot;       // a row in the shape of the publishing root
  AttrMap* map;               // from there to the relation's own attributes; null: the same
  ExprState* expressions[3];  // by Operation; null: every row passes

  bool applies_to(Operation operation) const { return expressions[static_cast<int>(operation)] != nullptr; }
};

// Prepares the filters in the current memory context. `root` is the relation that the selection publishes as, `map`
// from its attributes to those of the tuples (null: the same).
RowFilter* make_row_filter(const Selection& selection, Relation root, AttrMap* map);

// Evaluates the filter of an operation on a tuple; `fallback` has the values that are unchanged and out of line in it.
Verdict judge_row(RowFilter* filter, Operation operation, const Tuple& tuple, const Tuple* fallback);

}  // namespace anabranch
