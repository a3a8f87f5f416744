// What users ask of indexes outside the database: create_index, alter_index, drop_index. Each is a copy like any other,
// of which the sidecar sends a document for each row.
#include "extension/postgres.hpp"

extern "C" {
#include <utils/array.h>
}

#include "extension/definition.hpp"
#include "extension/elevated.hpp"
#include "extension/requests.hpp"
#include "extension/twin.hpp"

namespace anabranch {
namespace {

List* names_in(ArrayType* array) {
  if (ARR_NDIM(array) > 1)
    ereport(ERROR, (errcode(ERRCODE_ARRAY_SUBSCRIPT_ERROR), errmsg("the key is a list of lists"),
                    errhint("Write its columns one behind the other: '{customer,day}'.")));
  Datum* values;
  bool* nulls;
  int count;
  deconstruct_array(array, TEXTOID, -1, false, TYPALIGN_INT, &values, &nulls, &count);
  List* names = NIL;
  for (int i = 0; i < count; i++) {
    if (nulls[i])
      ereport(ERROR, (errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED), errmsg("a column of the key must not be null")));
    names = lappend(names, makeString(TextDatumGetCString(values[i])));
  }
  return names;
}

// Numbered from 1 on, as an array need not be.
Datum array_of(List* names) {
  auto* values = static_cast<Datum*>(palloc(sizeof(Datum) * Max(list_length(names), 1)));
  ListCell* cell;
  foreach (cell, names) values[foreach_current_index(cell)] = CStringGetTextDatum(strVal(lfirst(cell)));
  return PointerGetDatum(construct_array(values, list_length(names), TEXTOID, -1, false, TYPALIGN_INT));
}

template <size_t count>
void carry_out(const char* statement, const Oid (&types)[count], const Datum (&values)[count]) {
  as_extension_owner([&] {
    const int result =
        SPI_execute_with_args(statement, count, const_cast<Oid*>(types), const_cast<Datum*>(values), nullptr, false, 0);
    if (result < 0) elog(ERROR, "could not execute \"%s\": %s", statement, SPI_result_code_string(result));
  });
}

}  // namespace
}  // namespace anabranch

ANABRANCH_EXPORTS_BEGIN
extern "C" {
PG_FUNCTION_INFO_V1(anabranch_create_index);
PG_FUNCTION_INFO_V1(anabranch_alter_index);
PG_FUNCTION_INFO_V1(anabranch_drop_index);
}
ANABRANCH_EXPORTS_END

using namespace anabranch;

// create_index(name text, engine text, query text, key text[], options jsonb, prepare_sources boolean) -> regclass
Datum anabranch_create_index(PG_FUNCTION_ARGS) {
  refuse_nulls(fcinfo, "create_index");
  PreventCommandIfReadOnly("create_index()");
  Request request = request_of(PG_GETARG_TEXT_PP(0), PG_GETARG_TEXT_PP(2), PG_GETARG_BOOL(5));
  request.has_documents = true;
  request.document_key = names_in(PG_GETARG_ARRAYTYPE_P(3));
  const Oid copy = create_copy(request);
  const Oid types[] = {OIDOID, TEXTOID, TEXTARRAYOID, JSONBOID};
  const Datum values[] = {ObjectIdGetDatum(copy), PG_GETARG_DATUM(1), array_of(request.document_key),
                          PG_GETARG_DATUM(4)};
  carry_out("SELECT anabranch.carry_out_create_index($1, $2, $3, $4)", types, values);
  PG_RETURN_OID(copy);
}

// alter_index(copy regclass, query text, options jsonb, swap boolean) -> bigint
Datum anabranch_alter_index(PG_FUNCTION_ARGS) {
  if (PG_ARGISNULL(0) || PG_ARGISNULL(3))
    ereport(ERROR, (errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED), errmsg("copy and swap must not be null")));
  const Oid copy = PG_GETARG_OID(0);
  require_control(copy);
  if (PG_ARGISNULL(1) == PG_ARGISNULL(2))
    ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE), errmsg("either a query or options are to be given"),
                    errhint("One after the other, where both are to change.")));
  if (PG_ARGISNULL(2)) {
    const Oid types[] = {OIDOID};
    const Datum values[] = {ObjectIdGetDatum(copy)};
    carry_out("SELECT anabranch.require_index($1)", types, values);
    PG_RETURN_DATUM(replace_query(copy, PG_GETARG_TEXT_PP(1), PG_GETARG_BOOL(3)));
  }
  const Oid types[] = {OIDOID, JSONBOID};
  const Datum values[] = {ObjectIdGetDatum(copy), PG_GETARG_DATUM(2)};
  carry_out("SELECT anabranch.carry_out_alter_index($1, $2)", types, values);
  tell_sidecar("index");
  PG_RETURN_NULL();
}

// drop_index(copy regclass) -> void
Datum anabranch_drop_index(PG_FUNCTION_ARGS) {
  refuse_nulls(fcinfo, "drop_index");
  const Oid copy = PG_GETARG_OID(0);
  require_control(copy);
  const Oid types[] = {OIDOID};
  const Datum values[] = {ObjectIdGetDatum(copy)};
  carry_out("SELECT anabranch.carry_out_drop_index($1)", types, values);
  tell_sidecar("drop");
  PG_RETURN_VOID();
}
