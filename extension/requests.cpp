// What the owner of a copy asks of it: drop_aggregate_table, pause, resume.
//
// Each checks its caller here, where GetUserId() is whoever called (in a SECURITY DEFINER function it would be us), and
// then lets a function of the catalog do the work as the extension's owner.
#include "extension/requests.hpp"

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
  if (!pg_class_ownercheck(copy, user) && !has_privs_of_role(user, get_role_oid("anabranch_operator", false)))
    ereport(ERROR, (errcode(ERRCODE_INSUFFICIENT_PRIVILEGE), errmsg("permission denied for copy \"%s\"", name),
                    errhint("Its owner and members of role anabranch_operator may do this.")));
}

void tell_sidecar(const char* word) {
  Async_Notify("anabranch", word);
}

namespace {

// Runs a statement about the copy as the extension's owner; the OIDs in its first column are returned as a list.
List* run_for(Oid copy, const char* function) {
  List* found = NIL;
  MemoryContext caller = CurrentMemoryContext;
  as_extension_owner([&] {
    const char* statement = psprintf("%s(%u)", function, copy);
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

}  // namespace
}  // namespace anabranch

ANABRANCH_EXPORTS_BEGIN
extern "C" {
PG_FUNCTION_INFO_V1(anabranch_drop_aggregate_table);
PG_FUNCTION_INFO_V1(anabranch_pause);
PG_FUNCTION_INFO_V1(anabranch_resume);
}
ANABRANCH_EXPORTS_END

using namespace anabranch;

// drop_aggregate_table(copy regclass) -> void
Datum anabranch_drop_aggregate_table(PG_FUNCTION_ARGS) {
  refuse_nulls(fcinfo, "drop_aggregate_table");
  const Oid copy = PG_GETARG_OID(0);
  require_control(copy);
  run_for(copy, "SELECT anabranch.carry_out_drop");
  tell_sidecar("drop");
  PG_RETURN_VOID();
}

// pause(copy regclass) -> void
Datum anabranch_pause(PG_FUNCTION_ARGS) {
  refuse_nulls(fcinfo, "pause");
  const Oid copy = PG_GETARG_OID(0);
  require_control(copy);
  run_for(copy, "SELECT anabranch.carry_out_pause");
  tell_sidecar("pause");
  PG_RETURN_VOID();
}

// resume(copy regclass) -> void
//
// Sees to the publication as well: a dump does not say that it has anabranch's own table.
Datum anabranch_resume(PG_FUNCTION_ARGS) {
  refuse_nulls(fcinfo, "resume");
  const Oid copy = PG_GETARG_OID(0);
  require_control(copy);
  run_for(copy, "SELECT anabranch.carry_out_resume");
  ListCell* cell;
  foreach (cell, run_for(copy, "SELECT relation FROM anabranch.relations_of")) publish_table(lfirst_oid(cell));
  // The columns may have other numbers now; a session that has applied to the copy remembers the old ones.
  CacheInvalidateRelcacheByRelid(copy);
  tell_sidecar("resume");
  PG_RETURN_VOID();
}
