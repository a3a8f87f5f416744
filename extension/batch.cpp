// The two ends of a batch, and the catch-up worker's one: begin_batch, end_batch, set_copy_position.
//
// They run up to a thousand times a second, also while somebody holds a snapshot for half an hour and not one of the
// versions that these updates leave behind can be removed. Found by its key, a row then costs a walk over all of them.
// So the session remembers where it left the row (its ctid) and looks there first; only when the row is not there
// (first call, rollback, another session wrote) it is looked up by key.
#include "extension/postgres.hpp"

extern "C" {
#include <access/xlog.h>
#include <utils/fmgrprotos.h>
#include <storage/itemptr.h>
}

#include <initializer_list>

#include "extension/error_codes.hpp"

namespace anabranch {
namespace {

struct Remembered {
  ItemPointerData place;
  Oid copy;  // of the row of progress; InvalidOid: nothing is remembered
};

// A prepared statement that lives as long as the session.
SPIPlanPtr prepared(SPIPlanPtr& plan, const char* statement, std::initializer_list<Oid> types) {
  if (plan == nullptr) {
    SPIPlanPtr fresh = SPI_prepare(statement, static_cast<int>(types.size()), const_cast<Oid*>(types.begin()));
    if (fresh == nullptr) elog(ERROR, "could not prepare \"%s\": %s", statement, SPI_result_code_string(SPI_result));
    SPI_keepplan(fresh);
    plan = fresh;
  }
  return plan;
}

// Runs a statement that touches at most one row and whose first column is that row's ctid.
bool touch(SPIPlanPtr plan, Datum* values, const char* nulls, ItemPointerData* place) {
  const int result = SPI_execute_plan(plan, values, nulls, false, 0);
  if (result < 0) elog(ERROR, "could not execute a plan: %s", SPI_result_code_string(result));
  if (SPI_processed == 0) return false;
  bool is_null;
  const Datum ctid = SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1, &is_null);
  *place = *reinterpret_cast<ItemPointer>(DatumGetPointer(ctid));
  return true;
}

ItemPointerData source_place;  // of the row of anabranch.source this session wrote last; all zero: unknown
Remembered progress_place;

void require_read_committed() {
  if (IsolationUsesXactSnapshot())
    ereport(ERROR, (errcode(ERRCODE_ACTIVE_SQL_TRANSACTION), errmsg("a batch needs isolation level READ COMMITTED")));
}

[[noreturn]] void raise_fenced(int64 token) {
  ereport(ERROR,
          (errcode(kFenced), errmsg("token %lld is no longer valid", static_cast<long long>(token)),
           errdetail("Another sidecar has taken over this source."),
           errhint("Run one sidecar per database; the view anabranch.sources names the one that is in charge.")));
}

}  // namespace
}  // namespace anabranch

ANABRANCH_EXPORTS_BEGIN
extern "C" {
PG_FUNCTION_INFO_V1(anabranch_begin_batch);
PG_FUNCTION_INFO_V1(anabranch_end_batch);
PG_FUNCTION_INFO_V1(anabranch_raise_fenced);
PG_FUNCTION_INFO_V1(anabranch_set_copy_position);
}
ANABRANCH_EXPORTS_END

using namespace anabranch;

// begin_batch(source text, token bigint) -> (snapshot pg_snapshot, flush_lsn pg_lsn)
//
// Locks the source's row for the rest of the transaction and checks the token (AN001). The snapshot is taken after the
// lock: what is visible in it may be applied.
Datum anabranch_begin_batch(PG_FUNCTION_ARGS) {
  static SPIPlanPtr by_place, by_name;
  const Datum source = PG_GETARG_DATUM(0);
  const int64 token = PG_GETARG_INT64(1);
  require_read_committed();

  SPI_connect();
  Datum values[2] = {PointerGetDatum(&source_place), source};
  bool found =
      ItemPointerIsValid(&source_place) &&
      touch(prepared(by_place, "SELECT ctid, token FROM anabranch.source WHERE ctid = $1 AND name = $2 FOR UPDATE",
                     {TIDOID, TEXTOID}),
            values, nullptr, &source_place);
  if (!found)
    found = touch(prepared(by_name, "SELECT ctid, token FROM anabranch.source WHERE name = $1 FOR UPDATE", {TEXTOID}),
                  values + 1, nullptr, &source_place);
  if (!found)
    ereport(ERROR, (errcode(kWrongState), errmsg("source \"%s\" has not been started", TextDatumGetCString(source)),
                    errhint("Call anabranch.start_sidecar first.")));
  bool is_null;
  const int64 current = DatumGetInt64(SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 2, &is_null));
  if (current != token) raise_fenced(token);
  SPI_finish();

  TupleDesc descriptor;
  if (get_call_result_type(fcinfo, nullptr, &descriptor) != TYPEFUNC_COMPOSITE)
    elog(ERROR, "return type must be a row type");
  PushActiveSnapshot(GetLatestSnapshot());
  Datum result[2] = {DirectFunctionCall1(pg_current_snapshot, 0), LSNGetDatum(GetFlushRecPtr(nullptr))};
  PopActiveSnapshot();
  bool nulls[2] = {false, false};
  return HeapTupleGetDatum(heap_form_tuple(BlessTupleDesc(descriptor), result, nulls));
}

// end_batch(source text, token bigint, lsn pg_lsn, commit_time timestamptz, transactions bigint, rows bigint,
// log_offset bigint)
//
// Records that all live copies now hold everything up to `lsn`. A NULL commit_time (nothing but the position moved)
// leaves the old one. A position never moves back.
Datum anabranch_end_batch(PG_FUNCTION_ARGS) {
  static SPIPlanPtr by_place, by_name;
  if (PG_ARGISNULL(0) || PG_ARGISNULL(1) || PG_ARGISNULL(2))
    ereport(ERROR, (errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED), errmsg("source, token and lsn must not be null")));

#define ANABRANCH_END_BATCH                                                                             \
  "UPDATE anabranch.source SET lsn = greatest(lsn, $3), commit_time = coalesce($4, commit_time), "      \
  "applied_at = statement_timestamp(), applied_transactions = applied_transactions + coalesce($5, 0), " \
  "applied_rows = applied_rows + coalesce($6, 0), log_offset = $7 WHERE name = $1 AND token = $2"

  Datum values[8];
  char nulls[8];
  for (int i = 0; i < 7; i++) {
    values[i] = PG_GETARG_DATUM(i);
    nulls[i] = PG_ARGISNULL(i) ? 'n' : ' ';
  }
  values[7] = PointerGetDatum(&source_place);
  nulls[7] = ' ';

  SPI_connect();
  bool found = ItemPointerIsValid(&source_place) &&
               touch(prepared(by_place, ANABRANCH_END_BATCH " AND ctid = $8 RETURNING ctid",
                              {TEXTOID, INT8OID, PG_LSNOID, TIMESTAMPTZOID, INT8OID, INT8OID, INT8OID, TIDOID}),
                     values, nulls, &source_place);
  if (!found)
    found = touch(prepared(by_name, ANABRANCH_END_BATCH " RETURNING ctid",
                           {TEXTOID, INT8OID, PG_LSNOID, TIMESTAMPTZOID, INT8OID, INT8OID, INT8OID}),
                  values, nulls, &source_place);
  if (!found) raise_fenced(PG_GETARG_INT64(1));
  SPI_finish();
  PG_RETURN_VOID();
#undef ANABRANCH_END_BATCH
}

// raise_fenced(token bigint): for functions in SQL that find another token than the one they were given.
Datum anabranch_raise_fenced(PG_FUNCTION_ARGS) {
  raise_fenced(PG_GETARG_INT64(0));
}

// set_copy_position(copy oid, lsn pg_lsn): records that the copy holds everything up to `lsn`.
Datum anabranch_set_copy_position(PG_FUNCTION_ARGS) {
  static SPIPlanPtr by_place, by_copy;
  const Oid copy = PG_GETARG_OID(0);
  Datum values[3] = {ObjectIdGetDatum(copy), PG_GETARG_DATUM(1), PointerGetDatum(&progress_place.place)};

  SPI_connect();
  bool found =
      progress_place.copy == copy &&
      touch(
          prepared(by_place,
                   "UPDATE anabranch.progress SET lsn = greatest(lsn, $2) WHERE copy = $1 AND ctid = $3 RETURNING ctid",
                   {REGCLASSOID, PG_LSNOID, TIDOID}),
          values, nullptr, &progress_place.place);
  if (!found)
    found =
        touch(prepared(by_copy, "UPDATE anabranch.progress SET lsn = greatest(lsn, $2) WHERE copy = $1 RETURNING ctid",
                       {REGCLASSOID, PG_LSNOID}),
              values, nullptr, &progress_place.place);
  if (!found)
    ereport(ERROR, (errcode(ERRCODE_UNDEFINED_OBJECT), errmsg("there is no copy with OID %u that could move", copy)));
  progress_place.copy = copy;
  SPI_finish();
  PG_RETURN_VOID();
}
