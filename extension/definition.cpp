// create_aggregate_table, in order:
//
//   1. analyse the query as the caller (query.cpp) and check expressions, columns, rights
//   2. decide what identifies the rows of each source (table.cpp) and see that its changes are published
//   3. make the statements (statements.cpp)
//   4. as the extension's owner: shadows, the state table and its index, readable by the caller
//   5. as the caller: the view, empty as yet
//   6. as the extension's owner: the rows of the catalog; then wake the sidecar
#include "extension/definition.hpp"

extern "C" {
#include <parser/parse_relation.h>
#include <executor/executor.h>
#include <nodes/nodeFuncs.h>
#include <utils/acl.h>
#include <utils/varlena.h>
}

#include "extension/document_key.hpp"
#include "extension/elevated.hpp"
#include "extension/error_codes.hpp"
#include "extension/expressions.hpp"
#include "extension/publication.hpp"
#include "extension/requests.hpp"
#include "extension/rewrite.hpp"
#include "extension/shadow.hpp"
#include "extension/settings.hpp"
#include "extension/statements.hpp"
#include "extension/table.hpp"
#include "extension/text.hpp"

namespace anabranch {
namespace {

void execute(const char* statement) {
  const int result = SPI_execute(statement, false, 0);
  if (result < 0) elog(ERROR, "could not execute \"%s\": %s", statement, SPI_result_code_string(result));
}

// As CREATE VIEW would, but before anything is made and with the remedy.
void check_outputs(TupleDesc outputs) {
  if (outputs->natts == 0)
    ereport(ERROR, (errcode(ERRCODE_INVALID_TABLE_DEFINITION), errmsg("a definition needs at least one column")));
  for (int i = 0; i < outputs->natts; i++) {
    const char* name = NameStr(TupleDescAttr(outputs, i)->attname);
    for (int k = 0; k < i; k++)
      if (strcmp(name, NameStr(TupleDescAttr(outputs, k)->attname)) == 0)
        ereport(ERROR, (errcode(ERRCODE_DUPLICATE_COLUMN), errmsg("column \"%s\" specified more than once", name),
                        errhint("Name the columns of the definition with AS.")));
  }
}

// Rows of a source without a key are told apart by their image, and then all rows of the copy are.
void identify_all_rows(Definition* definition, bool prepare) {
  const bool keyed = definition->grouped == nullptr;
  bool key_missing = false;
  ListCell* cell;
  foreach (cell, definition->sources) {
    auto* source = static_cast<Source*>(lfirst(cell));
    identify_rows(source, keyed ? RowIdentity::key : RowIdentity::image, prepare);
    check_columns(source);
    key_missing = key_missing || source->key == NIL;
  }
  if (!keyed || !key_missing) return;
  foreach (cell, definition->sources)
    identify_rows(static_cast<Source*>(lfirst(cell)), RowIdentity::image_only, prepare);
}

const char* unused_state_name(const char* name) {
  const Oid schema = get_namespace_oid("anabranch_data", false);
  const char* candidate = name;
  for (int i = 2; OidIsValid(get_relname_relid(candidate, schema)); i++)
    candidate = makeObjectName(name, nullptr, psprintf("%d", i));
  return candidate;
}

// Statistics of a range type are made with its subtype_diff, a function that any user may have written; ANALYZE would
// run it as the table's owner, who is the extension's.
void leave_out_statistics(const char* state_name) {
  const Oid state = get_relname_relid(state_name, get_namespace_oid("anabranch_data", false));
  Relation relation = table_open(state, AccessShareLock);
  TupleDesc columns = CreateTupleDescCopy(RelationGetDescr(relation));
  table_close(relation, NoLock);
  for (int i = 0; i < columns->natts; i++) {
    const Oid base = getBaseType(TupleDescAttr(columns, i)->atttypid);
    const char kind = get_typtype(base);
    if (base < FirstNormalObjectId || (kind != TYPTYPE_RANGE && kind != TYPTYPE_MULTIRANGE)) continue;
    execute(psprintf("ALTER TABLE anabranch_data.%s ALTER %s SET STATISTICS 0", quote_identifier(state_name),
                     quote_identifier(NameStr(TupleDescAttr(columns, i)->attname))));
  }
}

// `name` is the table's, `state` the same quoted and qualified.
void create_state(const Request& request, const char* name, const char* state, const Statements& statements,
                  const char* document_key) {
  as_extension_owner([&] {
    // Rows are updated in place as long as their page has room, and a vacuum needs to come by often, not for long.
    execute(
        psprintf("CREATE TABLE %s (%s) WITH (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.05, "
                 "autovacuum_vacuum_cost_delay = 0)",
                 state, statements.columns));
    // Not unique, and an entry for each version: places.hpp says why.
    execute(psprintf("CREATE INDEX ON %s (%s) WITH (deduplicate_items = off)", state, statements.key_columns));
    // Groups are found by the one above.
    if (document_key != nullptr && strcmp(statements.key_columns, key_column) == 0)
      execute(psprintf("CREATE INDEX ON %s (%s)", state, document_key));
    CommandCounterIncrement();
    leave_out_statistics(name);
    execute(psprintf("GRANT SELECT ON %s TO %s", state, quote_identifier(GetUserNameFromId(request.owner, false))));
    execute(psprintf(
        "COMMENT ON TABLE %s IS %s", state,
        quote_literal_cstr(psprintf("state of %s; written by anabranch alone",
                                    quote_qualified_identifier(get_namespace_name(request.schema), request.name)))));
  });
}

// The view's columns must be the query's; anything else is a fault of ours and must not be left standing.
void check_view(Oid view, TupleDesc expected) {
  Relation relation = table_open(view, AccessShareLock);
  TupleDesc made = RelationGetDescr(relation);
  bool same = made->natts == expected->natts;
  for (int i = 0; same && i < made->natts; i++) {
    Form_pg_attribute left = TupleDescAttr(made, i);
    Form_pg_attribute right = TupleDescAttr(expected, i);
    same = strcmp(NameStr(left->attname), NameStr(right->attname)) == 0 && left->atttypid == right->atttypid &&
           left->atttypmod == right->atttypmod && left->attcollation == right->attcollation;
    if (!same)
      elog(ERROR, "column \"%s\" of the view came out as %s, the query's is %s", NameStr(right->attname),
           format_type_with_typemod(left->atttypid, left->atttypmod),
           format_type_with_typemod(right->atttypid, right->atttypmod));
  }
  if (!same) elog(ERROR, "the view has %d columns, the query %d", made->natts, expected->natts);
  table_close(relation, NoLock);
}

Oid create_view(const Request& request, const char* shown, TupleDesc expected) {
  const char* name = quote_qualified_identifier(get_namespace_name(request.schema), request.name);
  const char* statement = psprintf("CREATE VIEW %s AS SELECT * FROM (%s) AS shown WHERE false", name, shown);
  const int level = pin_settings();
  if (OidIsValid(request.twin_of)) {
    // In a schema where nobody else may make anything.
    as_extension_owner([&] {
      execute(statement);
      execute(psprintf("ALTER VIEW %s OWNER TO %s", name, quote_identifier(GetUserNameFromId(request.owner, false))));
    });
  } else {
    SPI_connect();
    execute(statement);
    SPI_finish();
  }
  unpin_settings(level);
  const Oid view = get_relname_relid(request.name, request.schema);
  check_view(view, expected);
  return view;
}

Datum number_array(List* numbers) {
  const int count = list_length(numbers);
  auto* values = static_cast<Datum*>(palloc(sizeof(Datum) * static_cast<size_t>(count + 1)));
  for (int i = 0; i < count; i++) values[i] = Int16GetDatum(static_cast<int16>(list_nth_int(numbers, i)));
  return PointerGetDatum(construct_array(values, count, INT2OID, 2, true, TYPALIGN_SHORT));
}

// Names out of a list of String nodes.
Datum name_array(List* names) {
  const int count = list_length(names);
  auto* values = static_cast<Datum*>(palloc(sizeof(Datum) * static_cast<size_t>(count + 1)));
  for (int i = 0; i < count; i++) values[i] = CStringGetTextDatum(strVal(list_nth(names, i)));
  return PointerGetDatum(construct_array(values, count, TEXTOID, -1, false, TYPALIGN_INT));
}

const char* comma_separated(List* names) {
  Text text;
  ListCell* cell;
  foreach (cell, names) add(text, ", ", "%s", strVal(lfirst(cell)));
  return text.c_str();
}

Datum oid_array(List* oids) {
  const int count = list_length(oids);
  auto* values = static_cast<Datum*>(palloc(sizeof(Datum) * static_cast<size_t>(count + 1)));
  for (int i = 0; i < count; i++) values[i] = ObjectIdGetDatum(list_nth_oid(oids, i));
  return PointerGetDatum(construct_array(values, count, OIDOID, sizeof(Oid), true, TYPALIGN_INT));
}

void insert_definition(const Request& request, Oid view, const char* state, const char* class_name, const char* shape,
                       const Statements& statements, const char* shown, List* functions, List* document_key) {
  const Oid types[] = {OIDOID,  TEXTOID, TEXTOID, TEXTOID, TEXTOID,     TEXTOID,     TEXTOID,
                       TEXTOID, TEXTOID, OIDOID,  TEXTOID, OIDARRAYOID, TEXTARRAYOID};
  Datum values[] = {ObjectIdGetDatum(view),
                    CStringGetTextDatum(state),
                    CStringGetTextDatum(class_name),
                    CStringGetTextDatum(request.query),
                    CStringGetTextDatum(shape),
                    CStringGetTextDatum(request.search_path),
                    CStringGetTextDatum(statements.fold),
                    CStringGetTextDatum(statements.merge),
                    CStringGetTextDatum(shown),
                    ObjectIdGetDatum(request.twin_of),
                    request.purpose == nullptr ? 0 : CStringGetTextDatum(request.purpose),
                    oid_array(functions),
                    name_array(document_key)};
  char nulls[] = "             ";
  if (request.purpose == nullptr) nulls[9] = nulls[10] = 'n';
  if (!request.has_documents) nulls[12] = 'n';
  SPI_execute_with_args(
      "INSERT INTO anabranch.definition (copy, state, class, query, shape, search_path, fold, merge, shown_view, "
      "twin_of, "
      "purpose, functions, on_partition_removed, document_key) "
      "SELECT $1, $2::regclass, $3, $4, $5, $6, $7, $8, $9, $10, $11, anabranch.function_digests($12), "
      "coalesce((SELECT d.on_partition_removed FROM anabranch.definition AS d WHERE d.copy = $10), 'stale'), $13",
      lengthof(types), const_cast<Oid*>(types), values, nulls, false, 0);
}

void insert_source(Oid view, const Source* source, Oid shadow) {
  const Oid types[] = {OIDOID, INT4OID, OIDOID, OIDOID, INT2ARRAYOID, INT2ARRAYOID, INT2ARRAYOID, TEXTOID};
  Datum values[] = {ObjectIdGetDatum(view),
                    Int32GetDatum(source->ordinal),
                    ObjectIdGetDatum(source->relation),
                    ObjectIdGetDatum(shadow),
                    number_array(source->columns),
                    number_array(source->named),
                    number_array(source->key),
                    CStringGetTextDatum(source->needs_full_rows ? "full" : "key")};
  SPI_execute_with_args(
      "INSERT INTO anabranch.definition_source (copy, ordinal, relation, shadow, columns, named, key, "
      "old_rows, column_definitions) "
      "VALUES ($1, $2, $3, $4, $5, $6, $7, $8, anabranch.column_definitions($3, $5))",
      lengthof(types), const_cast<Oid*>(types), values, nullptr, false, 0);
}

}  // namespace

Request request_of(text* name, text* query, bool prepare_sources) {
  RangeVar* range = makeRangeVarFromNameList(textToQualifiedNameList(name));
  Request request;
  request.query = text_to_cstring(query);
  request.search_path = GetConfigOption("search_path", false, false);
  request.prepare_sources = prepare_sources;
  request.schema = RangeVarGetCreationNamespace(range);
  request.name = range->relname;
  request.owner = GetUserId();
  if (isTempOrTempToastNamespace(request.schema))
    ereport(ERROR, (errcode(ERRCODE_INVALID_TABLE_DEFINITION), errmsg("an aggregate table cannot be temporary")));
  const AclResult right = object_aclcheck(NamespaceRelationId, request.schema, request.owner, ACL_CREATE);
  if (right != ACLCHECK_OK) aclcheck_error(right, OBJECT_SCHEMA, get_namespace_name(request.schema));
  // RangeVarGetCreationNamespace and the server see to pg_catalog and pg_toast.
  for (const char* ours : {"anabranch", "anabranch_data", "information_schema"})
    if (request.schema == get_namespace_oid(ours, true))
      ereport(ERROR, (errcode(ERRCODE_INVALID_SCHEMA_NAME), errmsg("schema \"%s\" is not for aggregate tables", ours),
                      errhint("Name a schema of your own: 'schema.name'.")));
  if (OidIsValid(get_relname_relid(request.name, request.schema)))
    ereport(ERROR, (errcode(ERRCODE_DUPLICATE_TABLE), errmsg("relation \"%s\" already exists", request.name)));
  return request;
}

Oid create_copy(const Request& request) {
  Definition definition = analyse_query(request.query);
  check_expressions(definition.top);
  TupleDesc expected = ExecCleanTypeFromTL(definition.top->targetList);
  check_outputs(expected);
  identify_all_rows(&definition, request.prepare_sources);

  const char* class_name = definition.grouped != nullptr ? "linear" : "rows";
  const char* state_name =
      unused_state_name(OidIsValid(request.twin_of) ? get_rel_name(request.twin_of) : request.name);
  const char* state = quote_qualified_identifier("anabranch_data", state_name);
  List* shadows = NIL;
  ListCell* cell;
  foreach (cell, definition.sources) {
    const Oid relation = static_cast<Source*>(lfirst(cell))->relation;
    publish_table(relation);
    shadows = lappend_oid(shadows, shadow_for(relation));
  }
  CommandCounterIncrement();
  const char* shape = deparse(over_shadows(definition.top, definition.sources, shadows));
  if (request.shape != nullptr && strcmp(shape, request.shape) != 0)
    ereport(ERROR, (errcode(kStale),
                    errmsg("the query of copy \"%s\" means something else now", get_rel_name(request.twin_of)),
                    errdetail("A name in it leads to another object than when the copy was defined."),
                    errhint("Write it anew with anabranch.alter_aggregate_table.")));
  List* functions = functions_called(definition.top);
  List* key_places = request.has_documents ? document_key_places(definition, request.document_key) : NIL;
  const int level = pin_settings();
  const Statements statements = make_statements(&definition, state);

  List* document_key = NIL;
  foreach (cell, key_places) document_key = lappend(document_key, list_nth(statements.key_names, lfirst_int(cell)));

  create_state(request, state_name, state, statements, document_key == NIL ? nullptr : comma_separated(document_key));
  const char* shown = make_shown(definition, statements);
  unpin_settings(level);
  const Oid view = create_view(request, shown, expected);
  as_extension_owner([&] {
    insert_definition(request, view, state, class_name, shape, statements, shown, functions, document_key);
    ListCell *source, *shadow;
    forboth(source, definition.sources, shadow, shadows)
        insert_source(view, static_cast<Source*>(lfirst(source)), lfirst_oid(shadow));
    execute(psprintf("INSERT INTO anabranch.progress (copy, state) VALUES (%u, 'waiting')", view));
    if (OidIsValid(request.twin_of))
      execute(psprintf(
          "SELECT anabranch.give_indexes(d.state, %s::regclass) FROM anabranch.definition AS d WHERE d.copy = %u",
          quote_literal_cstr(state), request.twin_of));
    else
      execute("SELECT anabranch.notice_absence()");
  });
  tell_sidecar("create");
  return view;
}

}  // namespace anabranch

ANABRANCH_EXPORTS_BEGIN
extern "C" {
PG_FUNCTION_INFO_V1(anabranch_create_aggregate_table);
}
ANABRANCH_EXPORTS_END

// create_aggregate_table(name text, query text, prepare_sources boolean) -> regclass
Datum anabranch_create_aggregate_table(PG_FUNCTION_ARGS) {
  anabranch::refuse_nulls(fcinfo, "create_aggregate_table");
  PreventCommandIfReadOnly("create_aggregate_table()");
  PG_RETURN_OID(
      anabranch::create_copy(anabranch::request_of(PG_GETARG_TEXT_PP(0), PG_GETARG_TEXT_PP(1), PG_GETARG_BOOL(2))));
}
