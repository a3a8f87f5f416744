#include "extension/apply.hpp"

extern "C" {
#include <executor/tstoreReceiver.h>
#include <utils/plancache.h>
#include <utils/queryenvironment.h>
}

#include "extension/error_codes.hpp"
#include "extension/fill.hpp"

namespace anabranch {
namespace {

// What the planner is told of every ephemeral relation: plans are made once for batches of every size.
constexpr double rows_estimate = 1000;

void register_rows(const char* name, TupleDesc description, Tuplestorestate* rows) {
  auto* relation = static_cast<EphemeralNamedRelationData*>(palloc0(sizeof(EphemeralNamedRelationData)));
  relation->md.name = pstrdup(name);
  relation->md.reliddesc = InvalidOid;
  relation->md.tupdesc = description;
  relation->md.enrtype = ENR_NAMED_TUPLESTORE;
  relation->md.enrtuples = rows_estimate;
  relation->reldata = rows;
  const int result = SPI_register_relation(relation);
  if (result != SPI_OK_REL_REGISTER) elog(ERROR, "could not register \"%s\": %s", name, SPI_result_code_string(result));
}

SPIPlanPtr keep_plan(const char* statement) {
  SPIPlanPtr plan = SPI_prepare(statement, 0, nullptr);
  if (plan == nullptr) elog(ERROR, "could not prepare \"%s\": %s", statement, SPI_result_code_string(SPI_result));
  if (SPI_keepplan(plan) != 0) elog(ERROR, "could not keep the plan of \"%s\"", statement);
  return plan;
}

TupleDesc result_description(SPIPlanPtr plan) {
  List* sources = SPI_plan_get_plan_sources(plan);
  if (list_length(sources) != 1) elog(ERROR, "a fold must be one statement");
  TupleDesc description = static_cast<CachedPlanSource*>(linitial(sources))->resultDesc;
  if (description == nullptr) elog(ERROR, "a fold must return rows");
  return CreateTupleDescCopy(description);
}

Tuplestorestate* fold(Changes* changes) {
  Copy* copy = changes->copy;
  Tuplestorestate* folded = tuplestore_begin_heap(false, false, work_mem);
  as_restricted(copy->owner, [&] {
    if (copy->fold == nullptr) copy->fold = keep_plan(copy->fold_text);
    DestReceiver* receiver = CreateTuplestoreDestReceiver();
    SetTuplestoreDestReceiverParams(receiver, folded, CurrentMemoryContext, false, nullptr, nullptr);
    SPIExecuteOptions options = {};
    options.read_only = true;
    options.dest = receiver;
    const int result = SPI_execute_plan_extended(copy->fold, &options);
    if (result < 0) elog(ERROR, "could not fold changes: %s", SPI_result_code_string(result));
    receiver->rDestroy(receiver);
  });
  return folded;
}

// The merge returns the place and row count of every group that has come to nothing.
void remove_empty_groups(Copy* copy, const char* state) {
  if (SPI_processed == 0) return;
  const auto count = static_cast<int>(SPI_processed);
  auto* places = static_cast<Datum*>(palloc(sizeof(Datum) * count));
  for (int i = 0; i < count; i++) {
    bool is_null;
    HeapTuple row = SPI_tuptable->vals[i];
    const int64 rows = DatumGetInt64(SPI_getbinval(row, SPI_tuptable->tupdesc, 2, &is_null));
    if (is_null || rows < 0)
      ereport(ERROR, (errcode(kInconsistent),
                      errmsg("a group of copy \"%s\" would hold %lld rows", get_rel_name(copy->oid),
                             static_cast<long long>(rows)),
                      errdetail("The state table no longer follows from the changes applied to it."),
                      errhint("Fill the copy again with anabranch.resume, and report this.")));
    places[i] = SPI_getbinval(row, SPI_tuptable->tupdesc, 1, &is_null);
  }
  ArrayType* array = construct_array(places, count, TIDOID, sizeof(ItemPointerData), false, TYPALIGN_SHORT);
  Oid types[1] = {TIDARRAYOID};
  Datum values[1] = {PointerGetDatum(array)};
  if (SPI_execute_with_args(psprintf("DELETE FROM ONLY %s WHERE ctid = ANY ($1)", state), 1, types, values, nullptr,
                            false, 0) != SPI_OK_DELETE ||
      SPI_processed != static_cast<uint64>(count))
    elog(ERROR, "could not remove empty groups of copy %u", copy->oid);
}

void merge(Changes* changes, Tuplestorestate* folded) {
  Copy* copy = changes->copy;
  register_rows("folded", result_description(copy->fold), folded);
  as_restricted(copy->state_owner, [&] {
    if (copy->merge == nullptr) copy->merge = keep_plan(copy->merge_text);
    const int result = SPI_execute_plan(copy->merge, nullptr, nullptr, false, 0);
    if (result < 0) elog(ERROR, "could not merge changes: %s", SPI_result_code_string(result));
    if (result == SPI_OK_SELECT) remove_empty_groups(copy, quoted_name(copy->state));
  });
  SPI_unregister_relation("folded");
}

void name_copy(void* argument) {
  auto* copy = static_cast<Copy*>(argument);
  const char* name = get_rel_name(copy->oid);
  if (name != nullptr) errcontext("applying changes to copy \"%s\"", name);
  // The server's own hint is about making an index, which nobody did here.
  if (geterrcode() == ERRCODE_PROGRAM_LIMIT_EXCEEDED)
    errhint(
        "A group key that is too long for its index needs another definition: group by left(value, 500) or "
        "md5(value).");
}

}  // namespace

char* quoted_name(Oid relation) {
  const char* name = get_rel_name(relation);
  if (name == nullptr) ereport(ERROR, (errcode(kStale), errmsg("relation with OID %u of a copy is gone", relation)));
  return quote_qualified_identifier(get_namespace_name(get_rel_namespace(relation)), name);
}

void empty_state(Copy* copy) {
  as_restricted(copy->state_owner, [&] {
    if (SPI_execute(psprintf("DELETE FROM ONLY %s", quoted_name(copy->state)), false, 0) != SPI_OK_DELETE)
      elog(ERROR, "could not empty the state of copy %u", copy->oid);
  });
}

void apply_changes(Changes* changes) {
  Copy* copy = changes->copy;
  ErrorContextCallback context = {error_context_stack, name_copy, copy};
  error_context_stack = &context;

  if (changes->truncate) empty_state(copy);
  for (int i = 0; i < copy->source_count; i++)
    register_rows(copy->sources[i].delta_name, copy->sources[i].delta, changes->stores[i]);
  Tuplestorestate* folded = fold(changes);
  merge(changes, folded);
  tuplestore_end(folded);
  for (int i = 0; i < copy->source_count; i++) SPI_unregister_relation(copy->sources[i].delta_name);

  error_context_stack = context.previous;
}

namespace {

int64 apply_delta(Oid oid, bytea* delta, bool filling) {
  SPI_connect();
  Copy* copy = load_copy(oid);
  FillFilter filter = {};
  if (filling) filter = open_fill_filter(copy);
  Changes changes = open_changes(copy);
  as_restricted(copy->owner, [&] {
    const int settings = pin_output_settings();
    read_delta(&changes, std::string_view(VARDATA_ANY(delta), VARSIZE_ANY_EXHDR(delta)), filling ? &filter : nullptr);
    unpin_output_settings(settings);
  });
  if (changes.rows > 0 || changes.truncate) apply_changes(&changes);
  const int64 rows = changes.rows;
  close_changes(&changes);
  SPI_finish();
  return rows;
}

}  // namespace
}  // namespace anabranch

ANABRANCH_EXPORTS_BEGIN
extern "C" {
PG_FUNCTION_INFO_V1(anabranch_apply);
PG_FUNCTION_INFO_V1(anabranch_apply_filling);
}
ANABRANCH_EXPORTS_END

// apply(copy oid, delta bytea) -> bigint: signed rows applied.
Datum anabranch_apply(PG_FUNCTION_ARGS) {
  PG_RETURN_INT64(anabranch::apply_delta(PG_GETARG_OID(0), PG_GETARG_BYTEA_PP(1), false));
}

// apply_filling(copy oid, delta bytea) -> bigint: the same for a copy that is being filled, whose delta names the
// transaction of each row.
Datum anabranch_apply_filling(PG_FUNCTION_ARGS) {
  PG_RETURN_INT64(anabranch::apply_delta(PG_GETARG_OID(0), PG_GETARG_BYTEA_PP(1), true));
}
