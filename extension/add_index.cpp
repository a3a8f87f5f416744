// add_index(copy, columns, method): an index that queries on a copy can use.
//
// A column of the copy is an expression over its state table. That expression is taken from the view's query, put in
// terms of the table's columns, and indexed; the planner does the same with a query on the view, and finds the index.
//
// The index belongs to the extension's owner, and so an indexed expression would run with his rights. Therefore nothing
// is indexed that calls a function, checks a domain or makes a value of a type which an ordinary user could have made.
#include "extension/postgres.hpp"

extern "C" {
#include <access/transam.h>
#include <nodes/nodeFuncs.h>
#include <parser/analyze.h>
#include <parser/parse_relation.h>
#include <parser/parsetree.h>
#include <parser/parser.h>
#include <utils/array.h>
#include <utils/ruleutils.h>
#include <utils/typcache.h>
}

#include "extension/elevated.hpp"
#include "extension/requests.hpp"

namespace anabranch {
namespace {

// A query and those around it: a CTE is named from any depth below.
struct Level {
  Query* query;
  Level* outer;
};

struct Flattening {
  Level* level;
  Oid state;
  bool computed;  // set when a column is more than an expression over one row of the state table
};

Node* flatten(Node* node, Flattening* flattening);

Node* flatten_output(Query* query, Level* outer, AttrNumber number, Flattening* flattening) {
  if (query->setOperations != nullptr || query->hasAggs || query->hasWindowFuncs || query->hasTargetSRFs ||
      query->groupClause != NIL || query->distinctClause != NIL) {
    flattening->computed = true;
    return nullptr;
  }
  TargetEntry* target = get_tle_by_resno(query->targetList, number);
  Level level{query, outer};
  Level* saved = flattening->level;
  flattening->level = &level;
  Node* result = flatten(reinterpret_cast<Node*>(target->expr), flattening);
  flattening->level = saved;
  return result;
}

Node* flatten_column(Var* column, Flattening* flattening) {
  RangeTblEntry* entry = rt_fetch(column->varno, flattening->level->query->rtable);
  if (entry->rtekind == RTE_RELATION && entry->relid == flattening->state) {
    Var* copy = static_cast<Var*>(copyObjectImpl(column));
    copy->varno = 1;
    return reinterpret_cast<Node*>(copy);
  }
  if (entry->rtekind == RTE_SUBQUERY)
    return flatten_output(entry->subquery, flattening->level, column->varattno, flattening);
  if (entry->rtekind == RTE_CTE) {
    Level* level = flattening->level;
    for (Index up = entry->ctelevelsup; up > 0; up--) level = level->outer;
    ListCell* cell;
    foreach (cell, level->query->cteList) {
      CommonTableExpr* expression = static_cast<CommonTableExpr*>(lfirst(cell));
      if (strcmp(expression->ctename, entry->ctename) == 0)
        return flatten_output(reinterpret_cast<Query*>(expression->ctequery), level, column->varattno, flattening);
    }
  }
  flattening->computed = true;
  return nullptr;
}

Node* flatten(Node* node, Flattening* flattening) {
  if (node == nullptr || flattening->computed) return nullptr;
  if (IsA(node, Var) && reinterpret_cast<Var*>(node)->varlevelsup == 0)
    return flatten_column(reinterpret_cast<Var*>(node), flattening);
  if (IsA(node, Var) || IsA(node, SubLink)) {
    flattening->computed = true;
    return nullptr;
  }
  return expression_tree_mutator(node, ANABRANCH_MUTATOR(flatten), flattening);
}

bool is_not_built_in(Oid function, void*) {
  return function >= FirstNormalObjectId;
}

// A value of a type that somebody made, other than one that lies in a column: making it may check a domain inside the
// type, and the statistics of an index on it may measure a range by a function of the type.
bool makes_foreign_value(Node* node) {
  switch (nodeTag(node)) {
    case T_FuncExpr:
    case T_OpExpr:
    case T_NullIfExpr:
    case T_CoerceViaIO:
    case T_ArrayCoerceExpr:
    case T_ConvertRowtypeExpr:
    case T_RelabelType:
    case T_RowExpr:
    case T_ArrayExpr:
    case T_CaseExpr:
    case T_CoalesceExpr:
    case T_MinMaxExpr:
    case T_FieldSelect:
    case T_FieldStore:
    case T_SubscriptingRef:
      return exprType(node) >= FirstNormalObjectId;
    default:
      return IsA(node, CoerceToDomain);
  }
}

bool runs_foreign_code(Node* node, void* context) {
  if (node == nullptr) return false;
  if (makes_foreign_value(node) || check_functions_in_node(node, is_not_built_in, context)) return true;
  return expression_tree_walker(node, ANABRANCH_WALKER(runs_foreign_code), context);
}

Query* analyse(const char* text) {
  RawStmt* statement = linitial_node(RawStmt, raw_parser(text, RAW_PARSE_DEFAULT));
  return parse_analyze_fixedparams(statement, text, nullptr, 0, nullptr);
}

// One element of the index's column list, without its parentheses.
const char* index_expression(Query* view, Oid state, const char* name) {
  ListCell* cell;
  foreach (cell, view->targetList) {
    TargetEntry* target = lfirst_node(TargetEntry, cell);
    if (target->resjunk || strcmp(target->resname, name) != 0) continue;
    Flattening flattening{nullptr, state, false};
    Node* expression = flatten_output(view, nullptr, target->resno, &flattening);
    if (flattening.computed)
      ereport(ERROR, (errcode(ERRCODE_FEATURE_NOT_SUPPORTED), errmsg("column \"%s\" cannot be indexed", name),
                      errdetail("It is computed from more than one row of the copy's table.")));
    if (runs_foreign_code(expression, nullptr))
      ereport(ERROR,
              (errcode(ERRCODE_FEATURE_NOT_SUPPORTED), errmsg("column \"%s\" cannot be indexed", name),
               errdetail("It is computed by a function, or as a type, that does not belong to PostgreSQL itself.")));
    return deparse_expression(expression, deparse_context_for(get_rel_name(state), state), false, false);
  }
  ereport(ERROR, (errcode(ERRCODE_UNDEFINED_COLUMN), errmsg("the copy has no column \"%s\"", name)));
  pg_unreachable();
}

// The other methods call functions that whoever makes a range type names.
void check_method(const char* method, Query* view, const char* name) {
  static const char* const known[] = {"btree", "hash", "gin", "gist", "spgist", "brin"};
  bool found = false;
  for (const char* candidate : known) found = found || strcmp(candidate, method) == 0;
  if (!found)
    ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE), errmsg("unknown index method \"%s\"", method),
                    errhint("The methods are btree, hash, gin, gist, spgist and brin.")));
  if (strcmp(method, "btree") == 0 || strcmp(method, "hash") == 0) return;
  ListCell* cell;
  foreach (cell, view->targetList) {
    TargetEntry* target = lfirst_node(TargetEntry, cell);
    if (target->resjunk || strcmp(target->resname, name) != 0) continue;
    if (getBaseType(exprType(reinterpret_cast<Node*>(target->expr))) >= FirstNormalObjectId)
      ereport(ERROR, (errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
                      errmsg("column \"%s\" of type %s cannot have an index of method %s", name,
                             format_type_be(exprType(reinterpret_cast<Node*>(target->expr))), method),
                      errhint("Use btree or hash.")));
  }
}

Oid newest_index(Oid state) {
  SPI_execute(psprintf("SELECT pg_catalog.max(indexrelid::pg_catalog.int8)::pg_catalog.oid FROM pg_catalog.pg_index "
                       "WHERE indrelid = %u AND xmin = pg_catalog.pg_current_xact_id()::pg_catalog.xid",
                       state),
              false, 1);
  bool is_null;
  return DatumGetObjectId(SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1, &is_null));
}

}  // namespace
}  // namespace anabranch

ANABRANCH_EXPORTS_BEGIN
extern "C" {
PG_FUNCTION_INFO_V1(anabranch_add_index);
}
ANABRANCH_EXPORTS_END

using namespace anabranch;

// add_index(copy regclass, columns text[], method text DEFAULT 'btree') -> regclass
Datum anabranch_add_index(PG_FUNCTION_ARGS) {
  anabranch::refuse_nulls(fcinfo, "add_index");
  const Oid copy = PG_GETARG_OID(0);
  const char* method = text_to_cstring(PG_GETARG_TEXT_PP(2));
  Datum* names;
  bool* nulls;
  int count;
  deconstruct_array(PG_GETARG_ARRAYTYPE_P(1), TEXTOID, -1, false, TYPALIGN_INT, &names, &nulls, &count);
  if (count == 0)
    ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE), errmsg("an index needs at least one column")));
  require_control(copy);

  Oid index = InvalidOid;
  as_extension_owner([&] {
    SPI_execute(psprintf("SELECT state::pg_catalog.oid, shown_view FROM anabranch.definition WHERE copy = %u", copy),
                true, 1);
    bool is_null;
    const Oid state = DatumGetObjectId(SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1, &is_null));
    Query* view = analyse(SPI_getvalue(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 2));

    StringInfoData statement;
    initStringInfo(&statement);
    appendStringInfo(&statement, "CREATE INDEX ON %s USING %s (",
                     quote_qualified_identifier(get_namespace_name(get_rel_namespace(state)), get_rel_name(state)),
                     quote_identifier(method));
    for (int i = 0; i < count; i++) {
      if (nulls[i])
        ereport(ERROR, (errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED), errmsg("a column's name must not be null")));
      const char* name = TextDatumGetCString(names[i]);
      check_method(method, view, name);
      appendStringInfo(&statement, "%s(%s)", i > 0 ? ", " : "", index_expression(view, state, name));
    }
    appendStringInfoChar(&statement, ')');
    const int result = SPI_execute(statement.data, false, 0);
    if (result < 0) elog(ERROR, "could not execute \"%s\": %s", statement.data, SPI_result_code_string(result));
    index = newest_index(state);
  });
  PG_RETURN_OID(index);
}
