// Twins: a copy beside a copy, to be compared with it or to take its place. Their views are in anabranch_data.
#include "extension/twin.hpp"

extern "C" {
#include <parser/parse_relation.h>
#include <utils/acl.h>
}

#include "extension/definition.hpp"
#include "extension/elevated.hpp"
#include "extension/error_codes.hpp"
#include "extension/requests.hpp"

namespace anabranch {
namespace {

// A name for a twin's view, where views of twins are.
const char* unused_twin_name(Oid copy) {
  const Oid schema = get_namespace_oid("anabranch_data", false);
  for (int i = 1;; i++) {
    const char* candidate = makeObjectName(get_rel_name(copy), nullptr, i == 1 ? "twin" : psprintf("twin%d", i));
    if (!OidIsValid(get_relname_relid(candidate, schema))) return candidate;
  }
}

// The outputs by which the documents of an index are found: what takes its copy's place has to have them.
List* document_key_of(Oid copy, MemoryContext context, bool* has_documents) {
  SPI_execute(psprintf("SELECT x.copy::pg_catalog.oid, k FROM anabranch.external_index AS x LEFT JOIN LATERAL "
                       "unnest(x.key) WITH ORDINALITY AS l (k, n) ON true WHERE x.copy = %u ORDER BY n",
                       copy),
              true, 0);
  *has_documents = SPI_processed > 0;
  List* names = NIL;
  MemoryContext ours = MemoryContextSwitchTo(context);
  for (uint64 i = 0; i < SPI_processed; i++) {
    const char* name = SPI_getvalue(SPI_tuptable->vals[i], SPI_tuptable->tupdesc, 2);
    if (name != nullptr) names = lappend(names, makeString(pstrdup(name)));
  }
  MemoryContextSwitchTo(ours);
  return names;
}

// What is to stand beside a copy. `query` nullptr: of the same definition, as it was resolved then.
Request twin_of(Oid copy, const char* query, const char* purpose) {
  Request request = {};
  request.schema = get_namespace_oid("anabranch_data", false);
  request.name = unused_twin_name(copy);
  request.twin_of = copy;
  request.purpose = purpose;
  request.query = query;
  request.search_path = GetConfigOption("search_path", false, false);
  MemoryContext caller = CurrentMemoryContext;
  as_extension_owner([&] {
    if (SPI_execute(
            psprintf(
                "SELECT d.query, d.search_path, d.shape, c.relowner FROM anabranch.definition AS d JOIN pg_class AS c "
                "ON c.oid = d.copy WHERE d.copy = %u AND d.twin_of IS NULL",
                copy),
            true, 1) != SPI_OK_SELECT ||
        SPI_processed != 1)
      ereport(ERROR, (errcode(kWrongState), errmsg("\"%s\" is a twin itself", get_rel_name(copy)),
                      errhint("Name the copy that it stands beside.")));
    bool is_null;
    request.owner = DatumGetObjectId(SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 4, &is_null));
    if (query == nullptr) {
      request.query = MemoryContextStrdup(caller, SPI_getvalue(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1));
      request.search_path = MemoryContextStrdup(caller, SPI_getvalue(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 2));
      request.shape = MemoryContextStrdup(caller, SPI_getvalue(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 3));
    }
    if (strcmp(purpose, "proof") == 0) return;
    request.document_key = document_key_of(copy, caller, &request.has_documents);
    SPI_execute(psprintf("SELECT FROM anabranch.definition WHERE twin_of = %u AND purpose <> 'proof'", copy), true, 1);
    if (SPI_processed == 1)
      ereport(ERROR, (errcode(kWrongState), errmsg("something stands beside copy \"%s\" already", get_rel_name(copy)),
                      errhint("Its former definition, or one that is being made: anabranch.verifications tells. "
                              "anabranch.drop_former drops it.")));
  });
  return request;
}

// As the owner, whoever asks: the definition is his.
Oid create_as_owner(const Request& request) {
  Oid user;
  int context;
  GetUserIdAndSecContext(&user, &context);
  const int settings = NewGUCNestLevel();
  SetUserIdAndSecContext(request.owner, context | SECURITY_RESTRICTED_OPERATION);
  set_config_option("search_path", request.search_path, PGC_USERSET, PGC_S_SESSION, GUC_ACTION_SAVE, true, 0, false);
  const Oid twin = create_copy(request);
  AtEOXact_GUC(false, settings);
  SetUserIdAndSecContext(user, context);
  return twin;
}

// The run that compares the two and, if asked to, swaps them.
Datum request_replacement(Oid copy, Oid twin, const char* purpose, bool swap) {
  const Oid types[] = {OIDOID, OIDOID, TEXTOID, BOOLOID, TEXTOID};
  const Datum values[] = {ObjectIdGetDatum(copy), ObjectIdGetDatum(twin), CStringGetTextDatum(purpose),
                          BoolGetDatum(swap), CStringGetTextDatum(GetUserNameFromId(GetUserId(), false))};
  Datum run = 0;
  as_extension_owner([&] {
    SPI_execute_with_args("SELECT anabranch.carry_out_replace($1, $2, $3, $4, $5)", lengthof(types),
                          const_cast<Oid*>(types), const_cast<Datum*>(values), nullptr, false, 0);
    bool is_null;
    run = SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1, &is_null);
  });
  tell_sidecar("verify");
  return run;
}

void require_ownership(Oid copy) {
  require_control(copy);
  if (object_ownercheck(RelationRelationId, copy, GetUserId())) return;
  ereport(ERROR,
          (errcode(ERRCODE_INSUFFICIENT_PRIVILEGE), errmsg("permission denied for copy \"%s\"", get_rel_name(copy)),
           errhint("Its query runs with the owner's rights, so only the owner may write it.")));
}

}  // namespace

Datum replace_query(Oid copy, text* query, bool swap) {
  require_ownership(copy);
  const Oid twin = create_as_owner(twin_of(copy, text_to_cstring(query), "alter"));
  return request_replacement(copy, twin, "alter", swap);
}

}  // namespace anabranch

ANABRANCH_EXPORTS_BEGIN
extern "C" {
PG_FUNCTION_INFO_V1(anabranch_create_twin);
PG_FUNCTION_INFO_V1(anabranch_rebuild);
PG_FUNCTION_INFO_V1(anabranch_alter_aggregate_table);
}
ANABRANCH_EXPORTS_END

// create_twin(copy oid, query text, purpose text) -> regclass. For functions of our own, which have checked the caller.
Datum anabranch_create_twin(PG_FUNCTION_ARGS) {
  using namespace anabranch;
  const char* query = PG_ARGISNULL(1) ? nullptr : text_to_cstring(PG_GETARG_TEXT_PP(1));
  PG_RETURN_OID(create_as_owner(twin_of(PG_GETARG_OID(0), query, text_to_cstring(PG_GETARG_TEXT_PP(2)))));
}

// rebuild(copy regclass) -> bigint
Datum anabranch_rebuild(PG_FUNCTION_ARGS) {
  using namespace anabranch;
  refuse_nulls(fcinfo, "rebuild");
  const Oid copy = PG_GETARG_OID(0);
  require_control(copy);
  const Oid twin = create_as_owner(twin_of(copy, nullptr, "rebuild"));
  PG_RETURN_DATUM(request_replacement(copy, twin, "rebuild", true));
}

// alter_aggregate_table(copy regclass, query text, swap boolean) -> bigint
Datum anabranch_alter_aggregate_table(PG_FUNCTION_ARGS) {
  using namespace anabranch;
  refuse_nulls(fcinfo, "alter_aggregate_table");
  PG_RETURN_DATUM(replace_query(PG_GETARG_OID(0), PG_GETARG_TEXT_PP(1), PG_GETARG_BOOL(2)));
}
