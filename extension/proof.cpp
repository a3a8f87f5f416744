// Proving a copy: prove() compares it with its definition, correct() mends what was found.
//
// Method of prove():
//   1. The transaction is REPEATABLE READ: sources, copy and the copy's position P are seen under one snapshot S. By
//      rule V everything applied is visible in S, so the two differ by the changes that S shows and that end after P.
//      The sidecar reads them from the log, and hands them over as a Delta.
//   2. One statement compares all groups or rows, as the copy's owner (proof_statement.hpp).
//   3. Its rows are counted as they come; those that differ are kept up to a bound.
// So no difference is lag and none is missed, and nobody waits: neither writers nor the stream.
//
// Method of correct(): counters are corrected by their difference. What the stream has added since the proof stays
// right, so this needs no agreement with it but that nothing has emptied the copy in between, which the caller sees in
// the log. Rows with keys are written as they should be unless the stream has written them since, which the caller
// hands over, too.
#include "extension/postgres.hpp"

extern "C" {
#include <executor/tstoreReceiver.h>
#include <tcop/dest.h>
#include <utils/array.h>
#include <utils/queryenvironment.h>
}

#include "extension/apply.hpp"
#include "extension/changes.hpp"
#include "extension/error_codes.hpp"
#include "extension/proof_condition.hpp"
#include "extension/proof_statement.hpp"

namespace anabranch {
namespace {

constexpr int difference_columns = 6;  // class, key, expected, actual, expected_state, actual_state

// Counts the rows of a proof and keeps those that differ.
struct Differences {
  DestReceiver receiver;  // first: the executor knows no more
  Tuplestorestate* kept;
  TupleDesc description;
  int64 compared, differing, kept_max;
};

bool receive(TupleTableSlot* slot, DestReceiver* receiver) {
  auto* differences = reinterpret_cast<Differences*>(receiver);
  differences->compared++;
  bool is_null;
  if (!DatumGetBool(slot_getattr(slot, 1, &is_null)) || is_null) return true;
  if (differences->differing++ >= differences->kept_max) return true;
  slot_getallattrs(slot);
  Datum values[difference_columns + 2];
  bool nulls[difference_columns + 2];
  for (int i = 0; i < difference_columns; i++) {
    values[i] = slot->tts_values[i + 1];
    nulls[i] = slot->tts_isnull[i + 1];
  }
  for (int i = difference_columns; i < difference_columns + 2; i++) nulls[i] = true;
  tuplestore_putvalues(differences->kept, differences->description, values, nulls);
  return true;
}

void begin_receiving(DestReceiver*, int, TupleDesc) {}
void end_receiving(DestReceiver*) {}

Differences differences_for(ReturnSetInfo* result, int64 kept_max) {
  return {{receive, begin_receiving, end_receiving, end_receiving, DestTuplestore},
          result->setResult,
          result->setDesc,
          0,
          0,
          kept_max};
}

void put_counts(ReturnSetInfo* result, const Differences& differences) {
  Datum values[difference_columns + 2] = {};
  bool nulls[difference_columns + 2];
  for (int i = 0; i < difference_columns; i++) nulls[i] = true;
  nulls[difference_columns] = nulls[difference_columns + 1] = false;
  values[difference_columns] = Int64GetDatum(differences.compared);
  values[difference_columns + 1] = Int64GetDatum(differences.differing);
  tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
}

// The changes as changed_1, changed_2, ...; whether there are any.
bool open_changed(Changes* changes, bytea* delta) {
  as_user(changes->copy->owner, [&] {
    const int settings = pin_output_settings();
    read_delta(changes, std::string_view(VARDATA_ANY(delta), VARSIZE_ANY_EXHDR(delta)), nullptr);
    unpin_output_settings(settings);
  });
  if (changes->truncate)
    ereport(ERROR, (errcode(ERRCODE_T_R_SERIALIZATION_FAILURE),
                    errmsg("a source of copy \"%s\" was emptied meanwhile", get_rel_name(changes->copy->oid)),
                    errhint("Try again once the copy is level.")));
  for (int i = 0; i < changes->copy->source_count; i++)
    register_rows(changed_name(i + 1), changes->copy->sources[i].delta, changes->stores[i]);
  return changes->rows > 0;
}

void close_changed(Changes* changes) {
  for (int i = 0; i < changes->copy->source_count; i++) SPI_unregister_relation(changed_name(i + 1));
  close_changes(changes);
}

// The buckets that differ, as a condition; nullptr: none does.
const char* differing_buckets(Copy* copy, const ProofScope& scope, int buckets) {
  SPIExecuteOptions options = {};
  options.read_only = true;
  const char* statement = sketch_statement(copy, scope, buckets);
  const int result = SPI_execute_extended(statement, &options);
  if (result != SPI_OK_SELECT) elog(ERROR, "could not execute \"%s\": %s", statement, SPI_result_code_string(result));
  const auto count = static_cast<int>(SPI_processed);
  if (count == 0) return nullptr;
  auto* chosen = static_cast<int64*>(palloc(sizeof(int64) * count));
  for (int i = 0; i < count; i++) {
    bool is_null;
    chosen[i] = DatumGetInt64(SPI_getbinval(SPI_tuptable->vals[i], SPI_tuptable->tupdesc, 1, &is_null));
  }
  return bucket_condition(copy, buckets, chosen, count);
}

struct ProofArguments {
  bytea* delta;
  Oid expected_state;
  Datum keys;  // 0: none
  int buckets;
  int64 differences_max;
};

void prove(Copy* copy, const ProofArguments& arguments, Differences* differences) {
  Changes changes = open_changes(copy);
  ProofScope scope;
  scope.expected_state = arguments.expected_state;
  scope.has_changes = open_changed(&changes, arguments.delta);
  as_user(copy->owner, [&] {
    const int settings = pin_output_settings();
    if (arguments.keys != 0) scope.condition = keys_condition(copy, arguments.keys);
    bool differs = true;
    if (arguments.buckets > 0) {
      const char* condition = differing_buckets(copy, scope, arguments.buckets);
      differs = condition != nullptr;
      scope.condition = condition;
    }
    if (differs) run_into(proof_statement(copy, scope), &differences->receiver);
    unpin_output_settings(settings);
  });
  close_changed(&changes);
}

// What is to be corrected, as the ephemeral relation "wrong": (number, expected, actual).
Tuplestorestate* read_wrong(int64 run, TupleDesc* description) {
  Oid types[1] = {INT8OID};
  Datum values[1] = {Int64GetDatum(run)};
  Tuplestorestate* store = tuplestore_begin_heap(false, false, work_mem);
  if (SPI_execute_with_args(
          "SELECT number, expected_state, actual_state FROM anabranch.difference WHERE run = $1 AND outcome IS "
          "NULL AND class <> 'duplicate'",
          1, types, values, nullptr, false, 0) != SPI_OK_SELECT)
    elog(ERROR, "could not read differences");
  *description = CreateTupleDescCopy(SPI_tuptable->tupdesc);
  TupleDescInitEntry(*description, 1, "number", INT8OID, -1, 0);
  TupleDescInitEntry(*description, 2, "expected", TEXTOID, -1, 0);
  TupleDescInitEntry(*description, 3, "actual", TEXTOID, -1, 0);
  for (uint64 i = 0; i < SPI_processed; i++) tuplestore_puttuple(store, SPI_tuptable->vals[i]);
  return store;
}

struct Corrections {
  TupleDesc description;
  Tuplestorestate* rows;
};

Corrections make_corrections(Copy* copy, bool has_changes) {
  Corrections corrections = {nullptr, tuplestore_begin_heap(false, false, work_mem)};
  as_user(copy->owner, [&] {
    const int settings = pin_output_settings();
    SPIPlanPtr plan = SPI_prepare(correction_statement(copy, has_changes), 0, nullptr);
    if (plan == nullptr) elog(ERROR, "could not prepare corrections: %s", SPI_result_code_string(SPI_result));
    auto* source = static_cast<CachedPlanSource*>(linitial(SPI_plan_get_plan_sources(plan)));
    corrections.description = CreateTupleDescCopy(source->resultDesc);
    DestReceiver* receiver = CreateTuplestoreDestReceiver();
    SetTuplestoreDestReceiverParams(receiver, corrections.rows, CurrentMemoryContext, false, nullptr, nullptr);
    SPIExecuteOptions options = {};
    options.read_only = true;
    options.dest = receiver;
    if (SPI_execute_plan_extended(plan, &options) < 0) elog(ERROR, "could not make corrections");
    receiver->rDestroy(receiver);
    unpin_output_settings(settings);
  });
  return corrections;
}

// Takes the numbers of the differences off the corrections: the plan of the copy's merge is kept, and knows the columns
// of the fold alone.
ArrayType* take_numbers(Corrections* corrections, MemoryContext context) {
  TupleDesc with_number = corrections->description;
  const int columns = with_number->natts - 1;
  TupleDesc description = CreateTemplateTupleDesc(columns);
  for (int i = 1; i <= columns; i++)
    TupleDescCopyEntry(description, static_cast<AttrNumber>(i), with_number, static_cast<AttrNumber>(i));
  Tuplestorestate* rows = tuplestore_begin_heap(false, false, work_mem);
  TupleTableSlot* slot = MakeSingleTupleTableSlot(with_number, &TTSOpsMinimalTuple);
  auto* numbers = static_cast<Datum*>(palloc(sizeof(Datum) * (tuplestore_tuple_count(corrections->rows) + 1)));
  int count = 0;
  while (tuplestore_gettupleslot(corrections->rows, true, false, slot)) {
    slot_getallattrs(slot);
    numbers[count++] = slot->tts_values[columns];
    tuplestore_putvalues(rows, description, slot->tts_values, slot->tts_isnull);
  }
  ExecDropSingleTupleTableSlot(slot);
  tuplestore_end(corrections->rows);
  *corrections = {description, rows};
  MemoryContext ours = MemoryContextSwitchTo(context);
  ArrayType* array = construct_array(numbers, count, INT8OID, sizeof(int64), FLOAT8PASSBYVAL, TYPALIGN_DOUBLE);
  MemoryContextSwitchTo(ours);
  return array;
}

}  // namespace
}  // namespace anabranch

ANABRANCH_EXPORTS_BEGIN
extern "C" {
PG_FUNCTION_INFO_V1(anabranch_prove);
PG_FUNCTION_INFO_V1(anabranch_prove_rows);
PG_FUNCTION_INFO_V1(anabranch_correct);
PG_FUNCTION_INFO_V1(anabranch_row_key);
}
ANABRANCH_EXPORTS_END

using namespace anabranch;

// prove(copy oid, delta bytea, expected_state oid, keys jsonb, buckets int, differences_max bigint)
//   -> setof (class text, key jsonb, expected jsonb, actual jsonb, expected_state text, actual_state text,
//             compared bigint, differing bigint)
//
// All under the snapshot of the statement that calls it. The last row has the counts alone. `expected_state`: the table
// of a twin, or NULL. `keys`: what to compare, or NULL. `buckets`: a power of two, for a look at sums first; 0: none.
Datum anabranch_prove(PG_FUNCTION_ARGS) {
  InitMaterializedSRF(fcinfo, 0);
  auto* result = reinterpret_cast<ReturnSetInfo*>(fcinfo->resultinfo);
  SPI_connect();
  Copy* copy = load_copy(PG_GETARG_OID(0));
  ProofArguments arguments;
  arguments.delta = PG_ARGISNULL(1) ? static_cast<bytea*>(palloc0(VARHDRSZ)) : PG_GETARG_BYTEA_PP(1);
  if (PG_ARGISNULL(1)) SET_VARSIZE(arguments.delta, VARHDRSZ);
  arguments.expected_state = PG_ARGISNULL(2) ? InvalidOid : PG_GETARG_OID(2);
  arguments.keys = PG_ARGISNULL(3) ? 0 : PG_GETARG_DATUM(3);
  arguments.buckets = PG_GETARG_INT32(4);
  arguments.differences_max = PG_GETARG_INT64(5);
  Differences differences = differences_for(result, arguments.differences_max);
  prove(copy, arguments, &differences);
  SPI_finish();
  put_counts(result, differences);
  return static_cast<Datum>(0);
}

// prove_rows(copy oid, twin oid, differences_max bigint) -> as prove(): what two copies show, row by row.
Datum anabranch_prove_rows(PG_FUNCTION_ARGS) {
  InitMaterializedSRF(fcinfo, 0);
  auto* result = reinterpret_cast<ReturnSetInfo*>(fcinfo->resultinfo);
  SPI_connect();
  Copy* copy = load_copy(PG_GETARG_OID(0));
  Differences differences = differences_for(result, PG_GETARG_INT64(2));
  const char* statement = rows_statement(copy->oid, PG_GETARG_OID(1));
  as_user(copy->owner, [&] {
    const int settings = pin_output_settings();
    run_into(statement, &differences.receiver);
    unpin_output_settings(settings);
  });
  SPI_finish();
  put_counts(result, differences);
  return static_cast<Datum>(0);
}

// correct(copy oid, run bigint, delta bytea) -> bigint[]
//
// Merges the corrections of the run's differences; the numbers of those that it has corrected. `delta`: the changes of
// the copy since the proof, for rows with keys.
Datum anabranch_correct(PG_FUNCTION_ARGS) {
  MemoryContext caller = CurrentMemoryContext;
  SPI_connect();
  Copy* copy = load_copy(PG_GETARG_OID(0));
  Changes changes = open_changes(copy);
  const bool has_changes = open_changed(&changes, PG_GETARG_BYTEA_PP(2));
  TupleDesc wrong_description;
  Tuplestorestate* wrong = read_wrong(PG_GETARG_INT64(1), &wrong_description);
  register_rows("wrong", wrong_description, wrong);
  Corrections corrections = make_corrections(copy, has_changes && copy->rows_class);
  SPI_unregister_relation("wrong");
  tuplestore_end(wrong);
  close_changed(&changes);
  ArrayType* numbers = take_numbers(&corrections, caller);
  merge_folded(copy, corrections.description, corrections.rows);
  SPI_finish();
  PG_RETURN_ARRAYTYPE_P(numbers);
}

// row_key(numbers int2[], VARIADIC "any") -> bytea: the key of a copy's row, from the columns of these attribute
// numbers, as it stands in anabranch_key. Output settings must be pinned.
Datum anabranch_row_key(PG_FUNCTION_ARGS) {
  struct Types {
    int count;
    ValueType* types;
    int16* numbers;
  };
  auto* known = static_cast<Types*>(fcinfo->flinfo->fn_extra);
  if (known == nullptr) {
    MemoryContext context = fcinfo->flinfo->fn_mcxt;
    MemoryContext caller = MemoryContextSwitchTo(context);
    ArrayType* numbers = DatumGetArrayTypePCopy(PG_GETARG_DATUM(0));
    known = static_cast<Types*>(palloc0(sizeof(Types)));
    known->count = PG_NARGS() - 1;
    known->numbers = reinterpret_cast<int16*>(ARR_DATA_PTR(numbers));
    if (ArrayGetNItems(ARR_NDIM(numbers), ARR_DIMS(numbers)) != known->count || ARR_HASNULL(numbers))
      ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE), errmsg("a row's key needs a number for each value")));
    known->types = static_cast<ValueType*>(palloc0(sizeof(ValueType) * (known->count + 1)));
    for (int i = 0; i < known->count; i++)
      known->types[i] = describe_value(get_fn_expr_argtype(fcinfo->flinfo, i + 1), context);
    fcinfo->flinfo->fn_extra = known;
    MemoryContextSwitchTo(caller);
  }
  auto* values = static_cast<Value*>(palloc(sizeof(Value) * (known->count + 1)));
  size_t size = 0;
  for (int i = 0; i < known->count; i++) {
    if (PG_ARGISNULL(i + 1)) continue;
    values[i] = prepare_value(known->types[i], PG_GETARG_DATUM(i + 1));
    size += value_field_size(static_cast<uint32_t>(known->numbers[i]), known->types[i], values[i]);
  }
  auto* bytes = static_cast<char*>(palloc(size + 1));
  wire::Writer writer(bytes);
  for (int i = 0; i < known->count; i++)
    if (!PG_ARGISNULL(i + 1)) write_value(writer, static_cast<uint32_t>(known->numbers[i]), known->types[i], values[i]);
  return row_key(std::string_view(bytes, size));
}
