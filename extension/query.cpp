// Steps: parse one SELECT; analyse it; expand views (the rewriter does); at each level refuse what is not kept, put
// CTEs where they are named, and reduce the range table to the one relation selected from; drop what no outer level
// needs.
#include "extension/query.hpp"

#include "extension/table.hpp"

extern "C" {
#include <executor/executor.h>
#include <nodes/nodeFuncs.h>
#include <parser/analyze.h>
#include <parser/parsetree.h>
#include <rewrite/rewriteHandler.h>
#include <rewrite/rewriteManip.h>
#include <tcop/tcopprot.h>
}

namespace anabranch {
namespace {

#define REFUSE(message, ...) ereport(ERROR, (errcode(ERRCODE_FEATURE_NOT_SUPPORTED), errmsg message, ##__VA_ARGS__))

Query* parse(const char* text) {
  List* statements = pg_parse_query(text);
  if (list_length(statements) != 1)
    ereport(ERROR, (errcode(ERRCODE_SYNTAX_ERROR),
                    errmsg("a definition is one SELECT statement, not %d statements", list_length(statements))));
  auto* raw = linitial_node(RawStmt, statements);
  if (!IsA(raw->stmt, SelectStmt) || reinterpret_cast<SelectStmt*>(raw->stmt)->intoClause != nullptr)
    ereport(ERROR, (errcode(ERRCODE_SYNTAX_ERROR), errmsg("a definition is a SELECT statement")));
  return parse_analyze_fixedparams(raw, text, nullptr, 0, nullptr);
}

// The clauses that no level may have.
void refuse_clauses(const Query* query) {
  if (query->hasRecursive) REFUSE(("recursive queries are not kept incrementally"));
  if (query->hasModifyingCTE || query->commandType != CMD_SELECT)
    REFUSE(("a definition may not write"), errhint("Use SELECT alone."));
  if (query->hasSubLinks)
    REFUSE(("subqueries in expressions are not yet kept incrementally"),
           errhint("Subqueries in FROM are, when each selects from one table."));
  if (query->hasWindowFuncs)
    REFUSE(("window functions are not yet kept incrementally"), errhint("Use them in a query on the aggregate table."));
  if (query->hasTargetSRFs)
    REFUSE(("set-returning functions are not yet kept incrementally"),
           errhint("Call them in a query on the aggregate table."));
  if (query->distinctClause != NIL)
    REFUSE(("SELECT DISTINCT is not kept"), errhint("GROUP BY the selected columns instead; the result is the same."));
  if (query->groupingSets != NIL)
    REFUSE(("grouping sets are not yet kept incrementally"),
           errhint("Create one aggregate table for each set of group columns."));
  if (query->limitCount != nullptr || query->limitOffset != nullptr)
    REFUSE(("LIMIT and OFFSET are not yet kept incrementally"), errhint("Use them in a query on the aggregate table."));
  if (query->sortClause != NIL)
    REFUSE(("an aggregate table has no order"), errhint("Leave ORDER BY to the queries on the aggregate table."));
  if (query->rowMarks != NIL) REFUSE(("a definition may not lock rows"), errhint("Leave out FOR UPDATE or FOR SHARE."));
}

struct Level {
  const Level* outer;
  Query* query;
};

CommonTableExpr* find_cte(const Level* level, const RangeTblEntry* entry) {
  for (Index i = 0; i < entry->ctelevelsup; i++) level = level->outer;
  ListCell* cell;
  foreach (cell, level->query->cteList) {
    auto* cte = lfirst_node(CommonTableExpr, cell);
    if (strcmp(cte->ctename, entry->ctename) == 0) return cte;
  }
  elog(ERROR, "could not find CTE \"%s\"", entry->ctename);
}

// A subquery prints the names of its columns, whatever the levels below call theirs.
void name_subquery(RangeTblEntry* entry) {
  entry->alias = makeAlias(entry->eref->aliasname, static_cast<List*>(copyObjectImpl(entry->eref->colnames)));
}

// Refuses clauses and replaces every reference to a CTE by the CTE's query. Nothing is evaluated twice by that in a way
// that could show, for volatile functions are refused.
void inline_ctes(Query* query, const Level* outer) {
  refuse_clauses(query);
  // The rights that reading the query itself would need, those of the views' owners included.
  check_rights(query);
  flatten_groups(query);
  const Level level{outer, query};
  ListCell* cell;
  foreach (cell, query->cteList) {
    Node* body = lfirst_node(CommonTableExpr, cell)->ctequery;
    inline_ctes(castNode(Query, body), &level);
  }
  foreach (cell, query->rtable) {
    auto* entry = lfirst_node(RangeTblEntry, cell);
    if (entry->rtekind == RTE_SUBQUERY) {
      inline_ctes(entry->subquery, &level);
      name_subquery(entry);
    } else if (entry->rtekind == RTE_CTE) {
      entry->subquery = static_cast<Query*>(copyObjectImpl(find_cte(&level, entry)->ctequery));
      entry->rtekind = RTE_SUBQUERY;
      entry->ctename = nullptr;
      entry->ctelevelsup = 0;
      entry->coltypes = entry->coltypmods = entry->colcollations = NIL;
      name_subquery(entry);
    }
  }
  // Only after the references below are gone, which may name them.
  query->cteList = NIL;
}

bool aggregates(const Query* query) {
  return query->hasAggs || query->groupClause != NIL || query->havingQual != nullptr;
}

void refuse_relation_kind(const RangeTblEntry* entry) {
  switch (entry->rtekind) {
    case RTE_RELATION:
      if (entry->tablesample != nullptr) REFUSE(("TABLESAMPLE cannot be kept"));
      check_table(entry->relid, entry->inh);
      return;
    case RTE_SUBQUERY:
      if (entry->lateral) REFUSE(("LATERAL is not kept incrementally"));
      return;
    case RTE_FUNCTION:
    case RTE_TABLEFUNC:
      REFUSE(("functions in FROM are not kept incrementally"));
      return;
    case RTE_VALUES:
    case RTE_RESULT:
      REFUSE(("rows that come from no table are not kept"), errhint("Put the rows into a table."));
      return;
    default:
      REFUSE(("joins are not yet kept incrementally"),
             errhint("Combine tables with UNION ALL, and group their rows by the common key."));
  }
}

// Leaves the range table with the one relation that the level selects from.
void reduce_range_table(Query* query) {
  List* from = query->jointree->fromlist;
  if (from == NIL) REFUSE(("every SELECT of a definition needs a table to select from"));
  if (list_length(from) > 1 || !IsA(linitial(from), RangeTblRef))
    REFUSE(("joins are not yet kept incrementally"),
           errhint("Combine tables with UNION ALL, and group their rows by the common key."));
  const int index = linitial_node(RangeTblRef, from)->rtindex;
  RangeTblEntry* entry = rt_fetch(index, query->rtable);
  refuse_relation_kind(entry);
  if (index != 1) ChangeVarNodes(reinterpret_cast<Node*>(query), index, 1, 0);
  query->rtable = list_make1(entry);
}

void refuse_set_operations(Node* node) {
  if (!IsA(node, SetOperationStmt)) return;
  auto* operation = reinterpret_cast<SetOperationStmt*>(node);
  if (operation->op != SETOP_UNION || !operation->all)
    REFUSE(("%s is not yet kept incrementally", operation->op == SETOP_UNION       ? "UNION"
                                                : operation->op == SETOP_INTERSECT ? "INTERSECT"
                                                                                   : "EXCEPT"),
           errhint("UNION ALL is."));
  refuse_set_operations(operation->larg);
  refuse_set_operations(operation->rarg);
}

// Collects the branches of UNION ALL from left to right, and numbers them so.
void collect_branches(Node* node, List* entries, List** branches) {
  if (IsA(node, SetOperationStmt)) {
    auto* operation = reinterpret_cast<SetOperationStmt*>(node);
    collect_branches(operation->larg, entries, branches);
    collect_branches(operation->rarg, entries, branches);
    return;
  }
  auto* reference = castNode(RangeTblRef, node);
  *branches = lappend(*branches, rt_fetch(reference->rtindex, entries));
  reference->rtindex = list_length(*branches);
}

// Leaves the range table with the branches; a view's has entries of other kinds. The outputs refer to the first branch.
void reduce_to_branches(Query* query) {
  List* branches = NIL;
  collect_branches(query->setOperations, query->rtable, &branches);
  query->rtable = branches;
  ListCell* cell;
  foreach (cell, query->targetList) {
    auto* expression = reinterpret_cast<Node*>(lfirst_node(TargetEntry, cell)->expr);
    if (!IsA(expression, Var)) elog(ERROR, "an output of UNION ALL is no column of its branches");
    reinterpret_cast<Var*>(expression)->varno = 1;
    reinterpret_cast<Var*>(expression)->varnosyn = 1;
  }
}

// Checks the shape of one level and those below it, and finds the level that aggregates.
void check_levels(Query* query, bool may_aggregate, Query** grouped) {
  if (query->setOperations != nullptr) {
    refuse_set_operations(query->setOperations);
    reduce_to_branches(query);
    ListCell* cell;
    foreach (cell, query->rtable) check_levels(lfirst_node(RangeTblEntry, cell)->subquery, false, grouped);
    return;
  }
  if (aggregates(query)) {
    if (*grouped != nullptr)
      REFUSE(("aggregates over aggregates are not yet kept incrementally"),
             errhint("Create an aggregate table for the inner query."));
    if (!may_aggregate)
      REFUSE(("aggregates below UNION ALL are not yet kept incrementally"),
             errhint("Put UNION ALL into FROM and aggregate its result, or create a table for each branch."));
    *grouped = query;
  }
  reduce_range_table(query);
  RangeTblEntry* entry = only_relation(query);
  if (entry->rtekind == RTE_SUBQUERY) check_levels(entry->subquery, may_aggregate, grouped);
}

bool collect_columns(Node* node, Bitmapset** columns) {
  if (node == nullptr) return false;
  if (!IsA(node, Var)) return expression_tree_walker(node, ANABRANCH_WALKER(collect_columns), columns);
  auto* var = reinterpret_cast<Var*>(node);
  if (var->varlevelsup != 0) REFUSE(("references to an outer query are not kept incrementally"));
  if (var->varattno == 0) REFUSE(("a row taken as one value is not kept"), errhint("Name the columns one by one."));
  if (var->varattno < 0)
    REFUSE(("system columns are not kept"), errdetail("Their values are not in the stream of changes."));
  *columns = bms_add_member(*columns, var->varattno);
  return false;
}

Source* source_of(Definition* definition, Oid relation) {
  ListCell* cell;
  foreach (cell, definition->sources) {
    auto* source = static_cast<Source*>(lfirst(cell));
    if (source->relation == relation) return source;
  }
  auto* source = static_cast<Source*>(palloc0(sizeof(Source)));
  source->relation = relation;
  source->ordinal = list_length(definition->sources) + 1;
  definition->sources = lappend(definition->sources, source);
  return source;
}

// Puts NULL in the place of every output that no outer level needs, so that neither rights nor old rows nor deltas have
// to bring the columns behind it. `needed` holds target numbers; nullptr with `all`: every one.
void prune(Definition* definition, Query* query, bool all, Bitmapset* needed) {
  ListCell* cell;
  if (query->setOperations != nullptr) {
    foreach (cell, query->rtable) prune(definition, lfirst_node(RangeTblEntry, cell)->subquery, all, needed);
    return;
  }
  if (!all && !aggregates(query)) {
    foreach (cell, query->targetList) {
      auto* target = lfirst_node(TargetEntry, cell);
      auto* node = reinterpret_cast<Node*>(target->expr);
      if (bms_is_member(target->resno, needed) || IsA(node, Const)) continue;
      // Of the base type: a domain may refuse NULL.
      int32 modifier = exprTypmod(node);
      const Oid base = getBaseTypeAndTypmod(exprType(node), &modifier);
      target->expr = reinterpret_cast<Expr*>(makeNullConst(base, modifier, exprCollation(node)));
    }
  }
  Bitmapset* columns = nullptr;
  query_tree_walker(query, ANABRANCH_WALKER(collect_columns), &columns, QTW_IGNORE_RANGE_TABLE);
  RangeTblEntry* entry = only_relation(query);
  if (entry->rtekind == RTE_SUBQUERY) {
    prune(definition, entry->subquery, false, columns);
  } else {
    Source* source = source_of(definition, entry->relid);
    source->referenced = bms_add_members(source->referenced, columns);
  }
}

}  // namespace

RangeTblEntry* only_relation(const Query* query) {
  Assert(query->setOperations == nullptr && list_length(query->rtable) == 1);
  return linitial_node(RangeTblEntry, query->rtable);
}

Definition analyse_query(const char* text) {
  Definition definition;
  List* rewritten = QueryRewrite(parse(text));
  if (list_length(rewritten) != 1) elog(ERROR, "a query was rewritten to %d queries", list_length(rewritten));
  // A copy: later steps change nodes in place, and the rewriter may have used one twice.
  definition.top = static_cast<Query*>(copyObjectImpl(linitial(rewritten)));
  inline_ctes(definition.top, nullptr);
  check_levels(definition.top, true, &definition.grouped);
  prune(&definition, definition.top, true, nullptr);
  return definition;
}

}  // namespace anabranch
