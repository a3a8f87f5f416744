// What the owner of a copy asks of it: drop_aggregate_table, pause, resume, verify, repair, cancel, verify_every,
// on_partition_removed, swap, swap_back, drop_former.
//
// Each checks its caller here, where GetUserId() is whoever called (in a SECURITY DEFINER function it would be us), and
// then lets a function of the catalog do the work as the extension's owner.
#include "extension/requests.hpp"

#include <initializer_list>

extern "C" {
#include <catalog/pg_class.h>
#include <commands/async.h>
#include <utils/acl.h>
}

#include "extension/elevated.hpp"
#include "extension/publication.hpp"

namespace anabranch {

void require_control(Oid copy) {
  const char* name = get_rel_name(copy);
  if (name == nullptr)
    ereport(ERROR, (errcode(ERRCODE_UNDEFINED_TABLE), errmsg("relation with OID %u does not exist", copy)));
  bool known = false;
  as_extension_owner([&] {
    SPI_execute(psprintf("SELECT FROM anabranch.definition WHERE copy = %u::pg_catalog.regclass", copy), true, 1);
    known = SPI_processed == 1;
  });
  if (!known)
    ereport(ERROR, (errcode(ERRCODE_WRONG_OBJECT_TYPE), errmsg("\"%s\" is not a copy made by anabranch", name),
                    errhint("SELECT copy FROM anabranch.copies lists them.")));
  const Oid user = GetUserId();
  if (!object_ownercheck(RelationRelationId, copy, user) &&
      !has_privs_of_role(user, get_role_oid("anabranch_operator", false)))
    ereport(ERROR, (errcode(ERRCODE_INSUFFICIENT_PRIVILEGE), errmsg("permission denied for copy \"%s\"", name),
                    errhint("Its owner and members of role anabranch_operator may do this.")));
}

void tell_sidecar(const char* word) {
  Async_Notify("anabranch", word);
}

namespace {

// Runs a statement about the copy as the extension's owner; the OIDs in its first column are returned as a list.
List* run_for(Oid copy, const char* function, const char* more = "") {
  List* found = NIL;
  MemoryContext caller = CurrentMemoryContext;
  as_extension_owner([&] {
    const char* statement = psprintf("%s(%u%s)", function, copy, more);
    const int result = SPI_execute(statement, false, 0);
    if (result < 0) elog(ERROR, "could not execute \"%s\": %s", statement, SPI_result_code_string(result));
    MemoryContext ours = MemoryContextSwitchTo(caller);
    for (uint64 i = 0; i < SPI_processed; i++) {
      bool is_null;
      const Datum value = SPI_getbinval(SPI_tuptable->vals[i], SPI_tuptable->tupdesc, 1, &is_null);
      if (!is_null && SPI_gettypeid(SPI_tuptable->tupdesc, 1) == OIDOID)
        found = lappend_oid(found, DatumGetObjectId(value));
    }
    MemoryContextSwitchTo(ours);
  });
  return found;
}

// The whole of a function name(copy regclass, ...) that has no answer: `function` of the catalog does it, and the
// sidecar is told `word`. Returns the copy.
Oid carry_out(FunctionCallInfo fcinfo, const char* name, const char* function, const char* word,
              const char* more = "") {
  refuse_nulls(fcinfo, name);
  const Oid copy = PG_GETARG_OID(0);
  require_control(copy);
  run_for(copy, function, more);
  tell_sidecar(word);
  return copy;
}

struct Answer {
  Datum value;
  bool is_null;
};

// Runs a function of the catalog as the extension's owner; its one value, which is passed by value.
template <size_t count>
Answer ask(const char* statement, const Oid (&types)[count], const Datum (&values)[count],
           const char* nulls = nullptr) {
  Answer answer = {0, true};
  as_extension_owner([&] {
    const int result =
        SPI_execute_with_args(statement, count, const_cast<Oid*>(types), const_cast<Datum*>(values), nulls, false, 0);
    if (result != SPI_OK_SELECT || SPI_processed != 1)
      elog(ERROR, "could not execute \"%s\": %s", statement, SPI_result_code_string(result));
    answer.value = SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1, &answer.is_null);
  });
  return answer;
}

Datum caller_name() {
  return CStringGetTextDatum(GetUserNameFromId(GetUserId(), false));
}

// The copy of a verification, after checking that the caller may control it.
void require_control_of_run(int64 run) {
  const Oid types[1] = {INT8OID};
  const Datum values[1] = {Int64GetDatum(run)};
  const Answer copy = ask(
      "SELECT max(copy::pg_catalog.oid::pg_catalog.int8) FROM anabranch.verification WHERE run = $1", types, values);
  if (copy.is_null)
    ereport(ERROR,
            (errcode(ERRCODE_UNDEFINED_OBJECT), errmsg("there is no verification %lld", static_cast<long long>(run)),
             errhint("SELECT run FROM anabranch.verifications lists them.")));
  require_control(static_cast<Oid>(DatumGetInt64(copy.value)));
}

}  // namespace
}  // namespace anabranch

ANABRANCH_EXPORTS_BEGIN
extern "C" {
PG_FUNCTION_INFO_V1(anabranch_drop_aggregate_table);
PG_FUNCTION_INFO_V1(anabranch_pause);
PG_FUNCTION_INFO_V1(anabranch_resume);
PG_FUNCTION_INFO_V1(anabranch_verify);
PG_FUNCTION_INFO_V1(anabranch_repair);
PG_FUNCTION_INFO_V1(anabranch_cancel);
PG_FUNCTION_INFO_V1(anabranch_verify_every);
PG_FUNCTION_INFO_V1(anabranch_on_partition_removed);
PG_FUNCTION_INFO_V1(anabranch_swap);
PG_FUNCTION_INFO_V1(anabranch_swap_back);
PG_FUNCTION_INFO_V1(anabranch_drop_former);
}
ANABRANCH_EXPORTS_END

using namespace anabranch;

// drop_aggregate_table(copy regclass) -> void
Datum anabranch_drop_aggregate_table(PG_FUNCTION_ARGS) {
  carry_out(fcinfo, "drop_aggregate_table", "SELECT anabranch.carry_out_drop", "drop");
  PG_RETURN_VOID();
}

// pause(copy regclass) -> void
Datum anabranch_pause(PG_FUNCTION_ARGS) {
  carry_out(fcinfo, "pause", "SELECT anabranch.carry_out_pause", "pause");
  PG_RETURN_VOID();
}

// resume(copy regclass) -> void
//
// Sees to the publication as well: a dump does not say that it has anabranch's own table.
Datum anabranch_resume(PG_FUNCTION_ARGS) {
  const Oid copy = carry_out(fcinfo, "resume", "SELECT anabranch.carry_out_resume", "resume");
  ListCell* cell;
  foreach (cell, run_for(copy, "SELECT relation FROM anabranch.relations_of")) publish_table(lfirst_oid(cell));
  // The columns may have other numbers now; a session that has applied to the copy remembers the old ones.
  CacheInvalidateRelcacheByRelid(copy);
  PG_RETURN_VOID();
}

// verify(copy regclass, mode text, keys jsonb, duty float8, repair boolean) -> bigint
Datum anabranch_verify(PG_FUNCTION_ARGS) {
  for (const int argument : {0, 1, 3, 4})
    if (PG_ARGISNULL(argument))
      ereport(ERROR, (errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
                      errmsg("argument %d of anabranch.verify must not be null", argument + 1)));
  require_control(PG_GETARG_OID(0));
  const Oid types[] = {OIDOID, TEXTOID, JSONBOID, FLOAT8OID, BOOLOID, TEXTOID};
  const Datum values[] = {PG_GETARG_DATUM(0), PG_GETARG_DATUM(1), PG_GETARG_DATUM(2),
                          PG_GETARG_DATUM(3), PG_GETARG_DATUM(4), caller_name()};
  const char nulls[] = {' ', ' ', PG_ARGISNULL(2) ? 'n' : ' ', ' ', ' ', ' '};
  const Answer run = ask("SELECT anabranch.carry_out_verify($1, $2, $3, $4, $5, $6)", types, values, nulls);
  tell_sidecar("verify");
  PG_RETURN_DATUM(run.value);
}

// repair(run bigint) -> bigint
Datum anabranch_repair(PG_FUNCTION_ARGS) {
  refuse_nulls(fcinfo, "repair");
  require_control_of_run(PG_GETARG_INT64(0));
  const Oid types[] = {INT8OID, TEXTOID};
  const Datum values[] = {PG_GETARG_DATUM(0), caller_name()};
  const Answer run = ask("SELECT anabranch.carry_out_repair($1, $2)", types, values);
  if (run.is_null) PG_RETURN_NULL();
  tell_sidecar("verify");
  PG_RETURN_DATUM(run.value);
}

// cancel(run bigint) -> boolean
Datum anabranch_cancel(PG_FUNCTION_ARGS) {
  refuse_nulls(fcinfo, "cancel");
  require_control_of_run(PG_GETARG_INT64(0));
  const Oid types[] = {INT8OID};
  const Datum values[] = {PG_GETARG_DATUM(0)};
  const Answer ended = ask("SELECT anabranch.carry_out_cancel($1)", types, values);
  tell_sidecar("verify");
  PG_RETURN_DATUM(ended.value);
}

// verify_every(copy regclass, every interval, duty float8) -> void
Datum anabranch_verify_every(PG_FUNCTION_ARGS) {
  for (const int argument : {0, 2})
    if (PG_ARGISNULL(argument))
      ereport(ERROR, (errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
                      errmsg("argument %d of anabranch.verify_every must not be null", argument + 1)));
  require_control(PG_GETARG_OID(0));
  const Oid types[] = {OIDOID, INTERVALOID, FLOAT8OID};
  const Datum values[] = {PG_GETARG_DATUM(0), PG_GETARG_DATUM(1), PG_GETARG_DATUM(2)};
  const char nulls[] = {' ', PG_ARGISNULL(1) ? 'n' : ' ', ' '};
  ask("SELECT anabranch.carry_out_verify_every($1, $2, $3)", types, values, nulls);
  tell_sidecar("verify");
  PG_RETURN_VOID();
}

// on_partition_removed(copy regclass, policy text) -> void
Datum anabranch_on_partition_removed(PG_FUNCTION_ARGS) {
  refuse_nulls(fcinfo, "on_partition_removed");
  require_control(PG_GETARG_OID(0));
  const Oid types[] = {OIDOID, TEXTOID};
  const Datum values[] = {PG_GETARG_DATUM(0), PG_GETARG_DATUM(1)};
  ask("SELECT anabranch.carry_out_on_partition_removed($1, $2)", types, values);
  PG_RETURN_VOID();
}

// swap(copy regclass) -> void
Datum anabranch_swap(PG_FUNCTION_ARGS) {
  carry_out(fcinfo, "swap", "SELECT anabranch.carry_out_swap_request", "swap", ", 'alter'");
  PG_RETURN_VOID();
}

// swap_back(copy regclass) -> void
Datum anabranch_swap_back(PG_FUNCTION_ARGS) {
  carry_out(fcinfo, "swap_back", "SELECT anabranch.carry_out_swap_request", "swap", ", 'former'");
  PG_RETURN_VOID();
}

// drop_former(copy regclass) -> boolean
Datum anabranch_drop_former(PG_FUNCTION_ARGS) {
  refuse_nulls(fcinfo, "drop_former");
  require_control(PG_GETARG_OID(0));
  const Oid types[] = {OIDOID};
  const Datum values[] = {PG_GETARG_DATUM(0)};
  const Answer dropped = ask("SELECT anabranch.carry_out_drop_former($1)", types, values);
  tell_sidecar("drop");
  PG_RETURN_DATUM(dropped.value);
}
