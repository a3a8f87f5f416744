#include "extension/postgres.hpp"

#include "decoder/row_filter.hpp"

namespace anabranch {

namespace {

struct Evaluation {
  ExprState* expression;
  ExprContext* context;
  bool passes;
};

void evaluate(void* argument) {
  auto* evaluation = static_cast<Evaluation*>(argument);
  bool is_null;
  Datum result = ExecEvalExprSwitchContext(evaluation->expression, evaluation->context, &is_null);
  evaluation->passes = !is_null && DatumGetBool(result);
}

bool is_out_of_line(const TupleDesc descriptor, int attribute, Datum value) {
  return TupleDescAttr(descriptor, attribute)->attlen == -1 && VARATT_IS_EXTERNAL_ONDISK(DatumGetPointer(value));
}

void fill_slot(RowFilter* filter, const Tuple& tuple, const Tuple* fallback) {
  TupleTableSlot* slot = filter->slot;
  TupleDesc descriptor = slot->tts_tupleDescriptor;
  ExecClearTuple(slot);
  for (int i = 0; i < descriptor->natts; ++i) {
    int source = filter->map ? filter->map->attnums[i] - 1 : i;
    slot->tts_isnull[i] = source < 0 || tuple.nulls[source];
    if (slot->tts_isnull[i]) continue;
    Datum value = tuple.values[source];
    if (fallback && !fallback->nulls[source] && is_out_of_line(descriptor, i, value)) value = fallback->values[source];
    slot->tts_values[i] = value;
  }
  ExecStoreVirtualTuple(slot);
}

}  // namespace

RowFilter* make_row_filter(const Selection& selection, Relation root, AttrMap* map) {
  auto* filter = static_cast<RowFilter*>(palloc0(sizeof(RowFilter)));
  filter->map = map;
  filter->state = CreateExecutorState();
  filter->slot = MakeTupleTableSlot(CreateTupleDescCopy(RelationGetDescr(root)), &TTSOpsVirtual);
  Node* filters[] = {selection.insert_filter, selection.update_filter, selection.delete_filter};
  for (int i = 0; i < 3; ++i)
    if (filters[i]) filter->expressions[i] = ExecPrepareExpr(reinterpret_cast<Expr*>(filters[i]), filter->state);
  return filter;
}

Verdict judge_row(RowFilter* filter, Operation operation, const Tuple& tuple, const Tuple* fallback) {
  Verdict verdict;
  ExprState* expression = filter->expressions[static_cast<int>(operation)];
  if (expression == nullptr) return verdict;
  ResetPerTupleExprContext(filter->state);
  ExprContext* context = GetPerTupleExprContext(filter->state);
  fill_slot(filter, tuple, fallback);
  context->ecxt_scantuple = filter->slot;
  Evaluation evaluation{expression, context, false};
  // Filters hold built-in immutable functions only, which leave nothing behind when they raise.
  if (guard(evaluate, &evaluation, false, &verdict.failure))
    verdict.passes = evaluation.passes;
  else
    verdict.has_failed = true;
  return verdict;
}

}  // namespace anabranch
