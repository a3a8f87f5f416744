#include "extension/expressions.hpp"

extern "C" {
#include <catalog/pg_proc.h>
#include <nodes/nodeFuncs.h>
#include <utils/acl.h>
#include <utils/regproc.h>
}

namespace anabranch {
namespace {

// now() and its kind.
bool tells_time(Oid function) {
  return get_func_nargs(function) == 0 && get_func_rettype(function) == TIMESTAMPTZOID;
}

bool reads_time_zone(Oid function) {
  bool found = get_func_rettype(function) == TIMESTAMPTZOID;
  Oid* types;
  int count;
  get_func_signature(function, &types, &count);
  for (int i = 0; i < count; i++) found = found || types[i] == TIMESTAMPTZOID;
  return found;
}

const char* remedy_of(Oid function) {
  if (tells_time(function)) return "Compare with the current time in the queries on the aggregate table.";
  if (reads_time_zone(function))
    return "Name the time zone: take (value AT TIME ZONE 'UTC') in place of a timestamp with time zone.";
  return "Use an immutable function or operator; for the text of a date an expression such as extract(year FROM "
         "value).";
}

bool check_function(Oid function, void*) {
  const AclResult right = object_aclcheck(ProcedureRelationId, function, GetUserId(), ACL_EXECUTE);
  if (right != ACLCHECK_OK) aclcheck_error(right, OBJECT_FUNCTION, get_func_name(function));
  const char volatility = func_volatile(function);
  if (volatility == PROVOLATILE_IMMUTABLE) return false;
  const char* name = format_procedure(function);
  if (volatility == PROVOLATILE_VOLATILE)
    ereport(ERROR, (errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
                    errmsg("function %s is volatile, so its result cannot be kept", name),
                    errdetail("A definition must give the same result whenever it is evaluated."),
                    errhint("Leave it to the queries on the aggregate table. If the function is immutable in truth, "
                            "declare it so with ALTER FUNCTION.")));
  ereport(ERROR, (errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
                  errmsg("function %s is not immutable, so its result cannot be kept", name),
                  errdetail("It depends on settings of the session, on the time, or on the contents of tables."),
                  errhint("%s", remedy_of(function))));
  return false;
}

bool check_node(Node* node, void* context) {
  if (node == nullptr) return false;
  if (IsA(node, Query))
    return query_tree_walker(reinterpret_cast<Query*>(node), ANABRANCH_WALKER(check_node), context, 0);
  if (IsA(node, SQLValueFunction))
    ereport(ERROR, (errcode(ERRCODE_FEATURE_NOT_SUPPORTED), errmsg("the current time, user or schema cannot be kept"),
                    errdetail("A definition must give the same result whenever it is evaluated."),
                    errhint("Compare with the current time in the queries on the aggregate table.")));
  if (IsA(node, XmlExpr))
    ereport(ERROR, (errcode(ERRCODE_FEATURE_NOT_SUPPORTED), errmsg("XML expressions cannot be kept"),
                    errdetail("What they make of a timestamp or a bytea depends on settings of the session."),
                    errhint("Use them in a query on the aggregate table.")));
  if (IsA(node, NextValueExpr)) elog(ERROR, "a definition may not draw from a sequence");
  check_functions_in_node(node, check_function, context);
  return expression_tree_walker(node, ANABRANCH_WALKER(check_node), context);
}

bool collect_function(Oid function, void* context) {
  auto* functions = static_cast<List**>(context);
  // What came with the server does not change its body.
  if (function >= FirstNormalObjectId) *functions = list_append_unique_oid(*functions, function);
  return false;
}

bool collect_functions(Node* node, void* context) {
  if (node == nullptr) return false;
  if (IsA(node, Query))
    return query_tree_walker(reinterpret_cast<Query*>(node), ANABRANCH_WALKER(collect_functions), context, 0);
  check_functions_in_node(node, collect_function, context);
  return expression_tree_walker(node, ANABRANCH_WALKER(collect_functions), context);
}

}  // namespace

void check_expressions(Query* query) {
  check_node(reinterpret_cast<Node*>(query), nullptr);
  // What the server knows besides: from 16 on SQL/JSON, which prints times as the session's settings say.
  if (contain_mutable_functions(reinterpret_cast<Node*>(query)))
    ereport(ERROR, (errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
                    errmsg("an expression is not immutable, so its result cannot be kept"),
                    errdetail("It depends on settings of the session or on the time."),
                    errhint("Leave it to the queries on the aggregate table.")));
}

List* functions_called(Query* query) {
  List* functions = NIL;
  collect_functions(reinterpret_cast<Node*>(query), &functions);
  return functions;
}

}  // namespace anabranch
