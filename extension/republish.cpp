// What is asked of a table's topic: republish, cancel_republish.
//
// A condition is turned into an expression here, where names mean what they mean to the caller, and stored with all of
// them written out. It runs as the table's owner, so only those who could do anything as the owner may give one.
#include "extension/postgres.hpp"

extern "C" {
#include <catalog/pg_class.h>
#include <nodes/nodeFuncs.h>
#include <optimizer/optimizer.h>
#include <parser/parse_clause.h>
#include <parser/parse_collate.h>
#include <parser/parse_node.h>
#include <parser/parse_relation.h>
#include <parser/parser.h>
#include <utils/acl.h>
#include <utils/ruleutils.h>
}

#include "extension/elevated.hpp"
#include "extension/requests.hpp"

namespace anabranch {
namespace {

void require_table(Oid relation, bool has_condition) {
  const char* name = get_rel_name(relation);
  if (name == nullptr)
    ereport(ERROR, (errcode(ERRCODE_UNDEFINED_TABLE), errmsg("relation with OID %u does not exist", relation)));
  const char kind = get_rel_relkind(relation);
  if (kind != RELKIND_RELATION && kind != RELKIND_PARTITIONED_TABLE)
    ereport(ERROR, (errcode(ERRCODE_WRONG_OBJECT_TYPE), errmsg("\"%s\" is not a table", name)));
  const Oid user = GetUserId();
  if (object_ownercheck(RelationRelationId, relation, user)) return;
  const bool operates = has_privs_of_role(user, get_role_oid("anabranch_operator", false));
  if (operates && !has_condition) return;
  ereport(ERROR, (errcode(ERRCODE_INSUFFICIENT_PRIVILEGE), errmsg("permission denied for table \"%s\"", name),
                  operates ? errhint("A condition runs as the table's owner, so only the owner may give one.")
                           : errhint("Its owner and members of role anabranch_operator may do this.")));
}

[[noreturn]] void refuse_condition(const char* condition, const char* why) {
  ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE), errmsg("condition \"%s\" %s", condition, why),
                  errhint("Write one expression over the table's columns, as after WHERE.")));
  pg_unreachable();
}

// The one expression that the text is, and nothing behind it.
Node* parse_condition(const char* condition) {
  List* statements = raw_parser(psprintf("SELECT WHERE (%s\n)", condition), RAW_PARSE_DEFAULT);
  if (list_length(statements) != 1) refuse_condition(condition, "is more than an expression");
  Node* statement = linitial_node(RawStmt, statements)->stmt;
  if (!IsA(statement, SelectStmt)) refuse_condition(condition, "is more than an expression");
  auto* select = reinterpret_cast<SelectStmt*>(statement);
  if (select->op != SETOP_NONE || select->groupClause || select->havingClause || select->windowClause ||
      select->sortClause || select->limitOffset || select->limitCount || select->lockingClause ||
      select->whereClause == nullptr)
    refuse_condition(condition, "is more than an expression");
  return select->whereClause;
}

char* check_condition(Oid oid, const char* condition) {
  Relation table = table_open(oid, AccessShareLock);
  Node* raw = parse_condition(condition);
  ParseState* state = make_parsestate(nullptr);
  ParseNamespaceItem* item = addRangeTableEntryForRelation(state, table, AccessShareLock, nullptr, false, true);
  addNSItemToQuery(state, item, false, true, true);
  Node* expression = transformWhereClause(state, raw, EXPR_KIND_WHERE, "WHERE");
  assign_expr_collations(state, expression);
  if (state->p_hasSubLinks) refuse_condition(condition, "has a subquery");
  if (contain_volatile_functions(expression)) refuse_condition(condition, "has a volatile function");
  // All names are written out where nothing is on the path.
  const int settings = NewGUCNestLevel();
  set_config_option("search_path", "", PGC_USERSET, PGC_S_SESSION, GUC_ACTION_SAVE, true, 0, false);
  char* text = deparse_expression(expression, deparse_context_for(RelationGetRelationName(table), oid), false, false);
  AtEOXact_GUC(false, settings);
  free_parsestate(state);
  table_close(table, NoLock);
  return text;
}

void carry_out(const char* statement, int count, Oid* types, Datum* values, const char* nulls) {
  as_extension_owner([&] {
    const int result = SPI_execute_with_args(statement, count, types, values, nulls, false, 0);
    if (result < 0) elog(ERROR, "could not execute \"%s\": %s", statement, SPI_result_code_string(result));
  });
}

}  // namespace
}  // namespace anabranch

ANABRANCH_EXPORTS_BEGIN
extern "C" {
PG_FUNCTION_INFO_V1(anabranch_republish);
PG_FUNCTION_INFO_V1(anabranch_cancel_republish);
}
ANABRANCH_EXPORTS_END

using namespace anabranch;

// republish(relation regclass, condition text) -> void
Datum anabranch_republish(PG_FUNCTION_ARGS) {
  if (PG_ARGISNULL(0))
    ereport(ERROR,
            (errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED), errmsg("argument 1 of anabranch.republish must not be null")));
  const Oid relation = PG_GETARG_OID(0);
  const bool has_condition = !PG_ARGISNULL(1);
  require_table(relation, has_condition);
  Oid types[3] = {OIDOID, TEXTOID, TEXTOID};
  Datum values[3] = {ObjectIdGetDatum(relation), Datum{0}, CStringGetTextDatum(GetUserNameFromId(GetUserId(), false))};
  if (has_condition) values[1] = CStringGetTextDatum(check_condition(relation, text_to_cstring(PG_GETARG_TEXT_PP(1))));
  carry_out("SELECT anabranch.carry_out_republish($1, $2, $3)", 3, types, values, has_condition ? "   " : " n ");
  tell_sidecar("republish");
  PG_RETURN_VOID();
}

// cancel_republish(relation regclass) -> void
Datum anabranch_cancel_republish(PG_FUNCTION_ARGS) {
  refuse_nulls(fcinfo, "cancel_republish");
  const Oid relation = PG_GETARG_OID(0);
  require_table(relation, false);
  Oid types[1] = {OIDOID};
  Datum values[1] = {ObjectIdGetDatum(relation)};
  carry_out("SELECT anabranch.carry_out_cancel_republish($1)", 1, types, values, nullptr);
  tell_sidecar("cancel_republish");
  PG_RETURN_VOID();
}
