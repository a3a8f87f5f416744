#include "extension/apply.hpp"

extern "C" {
#include <executor/tstoreReceiver.h>
#include <utils/plancache.h>
#include <utils/queryenvironment.h>
}

#include "extension/error_codes.hpp"
#include "extension/fill.hpp"
#include "extension/gather.hpp"
#include "extension/places.hpp"

namespace anabranch {
namespace {

// What the planner is told of every ephemeral relation: plans are made once for batches of every size.
constexpr double rows_estimate = 1000;

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
  as_user(copy->owner, [&] {
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

// Every row's place is known, so nothing is to be looked for, whatever is known of the table's size when the plan is
// made.
void use_places() {
  for (const char* way : {"enable_seqscan", "enable_hashjoin", "enable_mergejoin"})
    set_config_option(way, "off", PGC_USERSET, PGC_S_SESSION, GUC_ACTION_SAVE, true, 0, false);
}

void merge(Copy* copy, const PlacedRows& folded) {
  register_rows("folded", folded.description, folded.rows);
  as_restricted(copy->state_owner, [&] {
    use_places();
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

// What an error of the copy's expressions may say at most. Classes 08 and 57P speak of the connection and the server,
// AN of ourselves; 53 and 58 may well be true (memory, temporary files), and pass.
int own_code(int code) {
  const int category = ERRCODE_TO_CATEGORY(code);
  if (category == MAKE_SQLSTATE('A', 'N', '0', '0', '0') || category == ERRCODE_CONNECTION_EXCEPTION)
    return ERRCODE_EXTERNAL_ROUTINE_EXCEPTION;
  if (category == ERRCODE_OPERATOR_INTERVENTION && code != ERRCODE_QUERY_CANCELED)
    return ERRCODE_EXTERNAL_ROUTINE_EXCEPTION;
  if (category == ERRCODE_INSUFFICIENT_RESOURCES || category == ERRCODE_SYSTEM_ERROR) return kResources;
  return code;
}

}  // namespace

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

void merge_folded(Copy* copy, TupleDesc description, Tuplestorestate* folded) {
  const PlacedRows placed = place_rows(copy, description, folded);
  tuplestore_end(folded);
  merge(copy, placed);
  tuplestore_end(placed.rows);
}

void raise_as_own(MemoryContext context) {
  const int code = own_code(geterrcode());
  if (code == geterrcode()) PG_RE_THROW();
  MemoryContextSwitchTo(context);
  ErrorData* error = CopyErrorData();
  FlushErrorState();
  char* note = psprintf("An expression of the copy raised it with SQLSTATE %s.", unpack_sql_state(error->sqlerrcode));
  error->detail = error->detail == nullptr ? note : psprintf("%s %s", note, error->detail);
  error->sqlerrcode = code;
  ReThrowError(error);
}

void run_into(const char* statement, DestReceiver* receiver) {
  SPIExecuteOptions options = {};
  options.read_only = true;
  options.dest = receiver;
  const int result = SPI_execute_extended(statement, &options);
  if (result < 0) elog(ERROR, "could not execute \"%s\": %s", statement, SPI_result_code_string(result));
}

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
  merge_folded(copy, result_description(copy->fold), folded);
  for (int i = 0; i < copy->source_count; i++) SPI_unregister_relation(copy->sources[i].delta_name);

  error_context_stack = context.previous;
}

namespace {

enum class When { now, later };

// The rows that wait for the copy, those of this delta included when they are to wait, too; or that were applied.
int64 take_delta(Oid oid, bytea* delta, bool filling, When when) {
  SPI_connect();
  Copy* copy = load_copy(oid);
  FillFilter filter = {};
  if (filling) filter = open_fill_filter(copy);
  Changes alone = {};
  Changes* changes = when == When::later ? open_gathered(copy) : find_gathered(copy);
  const bool gathered = changes != nullptr;
  if (!gathered) {
    alone = open_changes(copy);
    changes = &alone;
  }
  as_user(copy->owner, [&] {
    const int settings = pin_output_settings();
    read_delta(changes, std::string_view(VARDATA_ANY(delta), VARSIZE_ANY_EXHDR(delta)), filling ? &filter : nullptr);
    unpin_output_settings(settings);
  });
  const int64 rows = changes->rows;
  if (when == When::now) {
    if (changes->rows > 0 || changes->truncate) apply_changes(changes);
    gathered ? close_gathered(changes) : close_changes(changes);
  }
  SPI_finish();
  return rows;
}

}  // namespace
}  // namespace anabranch

ANABRANCH_EXPORTS_BEGIN
extern "C" {
PG_FUNCTION_INFO_V1(anabranch_apply);
PG_FUNCTION_INFO_V1(anabranch_apply_filling);
PG_FUNCTION_INFO_V1(anabranch_gather);
}
ANABRANCH_EXPORTS_END

using namespace anabranch;

// apply(copy oid, delta bytea) -> bigint: signed rows applied, those that had been gathered included.
Datum anabranch_apply(PG_FUNCTION_ARGS) {
  PG_RETURN_INT64(take_delta(PG_GETARG_OID(0), PG_GETARG_BYTEA_PP(1), false, When::now));
}

// apply_filling(copy oid, delta bytea) -> bigint: the same for a copy that is being filled, whose delta names the
// transaction of each row.
Datum anabranch_apply_filling(PG_FUNCTION_ARGS) {
  PG_RETURN_INT64(take_delta(PG_GETARG_OID(0), PG_GETARG_BYTEA_PP(1), true, When::now));
}

// gather(copy oid, delta bytea, filling boolean) -> bigint: keeps the delta's rows for the next apply, or
// apply_filling, of the copy in this transaction; how many signed rows wait.
Datum anabranch_gather(PG_FUNCTION_ARGS) {
  PG_RETURN_INT64(take_delta(PG_GETARG_OID(0), PG_GETARG_BYTEA_PP(1), PG_GETARG_BOOL(2), When::later));
}
