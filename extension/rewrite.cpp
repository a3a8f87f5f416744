#include "extension/rewrite.hpp"

#include "extension/settings.hpp"

extern "C" {
#include <nodes/nodeFuncs.h>
#include <optimizer/tlist.h>
#include <parser/parsetree.h>
#include <utils/fmgroids.h>
#include <utils/ruleutils.h>
}

namespace anabranch {
namespace {

constexpr int branches_max = 256;

struct Carry {
  List* sources;
  List** paths;  // nullptr: no keys
  bool upserts;
};

template <typename T>
T* copy(const T* node) {
  return static_cast<T*>(copyObjectImpl(node));
}

int position_of(const List* columns, int number) {
  int position = 0;
  ListCell* cell;
  foreach (cell, columns) {
    position++;
    if (lfirst_int(cell) == number) return position;
  }
  elog(ERROR, "column %d is not among a source's columns", number);
}

bool renumber(Node* node, const List* columns) {
  if (node == nullptr) return false;
  if (IsA(node, Var)) {
    auto* var = reinterpret_cast<Var*>(node);
    var->varattno = static_cast<AttrNumber>(position_of(columns, var->varattno));
    var->varnosyn = 0;
    var->varattnosyn = 0;
    return false;
  }
  return expression_tree_walker(node, ANABRANCH_WALKER(renumber), const_cast<List*>(columns));
}

void append_target(Query* query, Expr* expression, const char* name) {
  const auto number = static_cast<AttrNumber>(list_length(query->targetList) + 1);
  query->targetList = lappend(query->targetList, makeTargetEntry(expression, number, pstrdup(name), false));
}

void append_column_name(RangeTblEntry* entry, const char* name) {
  entry->eref->colnames = lappend(entry->eref->colnames, makeString(pstrdup(name)));
  if (entry->alias != nullptr && entry->alias->colnames != NIL)
    entry->alias->colnames = lappend(entry->alias->colnames, makeString(pstrdup(name)));
}

Source* find_source(List* sources, Oid relation) {
  ListCell* cell;
  foreach (cell, sources) {
    auto* source = static_cast<Source*>(lfirst(cell));
    if (source->relation == relation) return source;
  }
  elog(ERROR, "relation %u is not a source", relation);
}

// Turns the entry of a table into that of its delta relation. As a CTE's it prints as a bare name, which finds the
// ephemeral relation registered under it.
void become_delta(RangeTblEntry* entry, const Source* source, bool with_key, bool upserts) {
  const char* alias = entry->eref->aliasname;
  List* names = NIL;
  ListCell* cell;
  foreach (cell, source->columns)
    names = lappend(names, makeString(get_attname(source->relation, static_cast<AttrNumber>(lfirst_int(cell)), false)));
  if (with_key) names = lappend(names, makeString(pstrdup(key_column)));
  names = lappend(names, makeString(pstrdup(weight_column)));
  auto* delta = makeNode(RangeTblEntry);
  delta->rtekind = RTE_CTE;
  delta->ctename = pstrdup(upserts ? upsert_name(source->ordinal) : delta_name(source->ordinal));
  delta->alias = makeAlias(alias, NIL);
  delta->eref = makeAlias(alias, names);
  delta->inFromCl = true;
  *entry = *delta;
}

// A row's own key behind the branches that lead to its table; `prefix` is hexadecimal.
Expr* key_behind(const char* prefix, Expr* key) {
  const size_t length = strlen(prefix);
  if (length == 0) return key;
  auto* branches = static_cast<bytea*>(palloc(VARHDRSZ + length / 2));
  SET_VARSIZE(branches, VARHDRSZ + length / 2);
  hex_decode(prefix, length, VARDATA(branches));
  Const* constant = makeConst(BYTEAOID, -1, InvalidOid, -1, PointerGetDatum(branches), false, false);
  return reinterpret_cast<Expr*>(
      makeFuncExpr(F_BYTEACAT, BYTEAOID, list_make2(constant, key), InvalidOid, InvalidOid, COERCE_EXPLICIT_CALL));
}

Expr* carried(int position, Oid type) {
  return reinterpret_cast<Expr*>(makeVar(1, static_cast<AttrNumber>(position), type, -1, InvalidOid, 0));
}

// Key and weight stand behind the `width` columns of the relation below.
void append_carried(Query* query, int width, bool with_key, const char* prefix) {
  if (with_key) append_target(query, key_behind(prefix, carried(++width, BYTEAOID)), key_column);
  append_target(query, carried(++width, INT4OID), weight_column);
}

void append_carried_names(RangeTblEntry* entry, bool with_key) {
  if (with_key) append_column_name(entry, key_column);
  append_column_name(entry, weight_column);
}

void widen_set_operations(Node* node, bool with_key) {
  if (!IsA(node, SetOperationStmt)) return;
  auto* operation = reinterpret_cast<SetOperationStmt*>(node);
  auto add = [operation](Oid type) {
    operation->colTypes = lappend_oid(operation->colTypes, type);
    operation->colTypmods = lappend_int(operation->colTypmods, -1);
    operation->colCollations = lappend_oid(operation->colCollations, InvalidOid);
  };
  if (with_key) add(BYTEAOID);
  add(INT4OID);
  widen_set_operations(operation->larg, with_key);
  widen_set_operations(operation->rarg, with_key);
}

// Appends key and weight to the outputs of `query`, and makes deltas of the tables below it.
void carry(Query* query, const Carry& request, const char* prefix, bool filtered) {
  const bool with_key = request.paths != nullptr;
  int width;
  if (query->setOperations != nullptr) {
    if (with_key && list_length(query->rtable) > branches_max)
      ereport(ERROR, (errcode(ERRCODE_STATEMENT_TOO_COMPLEX),
                      errmsg("a copy of rows may have at most %d branches of UNION ALL", branches_max)));
    int branch = 0;
    ListCell* cell;
    foreach (cell, query->rtable) {
      auto* entry = lfirst_node(RangeTblEntry, cell);
      carry(entry->subquery, request, with_key ? psprintf("%s%02x", prefix, branch++) : "", filtered);
      append_carried_names(entry, with_key);
    }
    widen_set_operations(query->setOperations, with_key);
    width = list_length(query->targetList);
    append_carried(query, width, with_key, "");
    return;
  }
  RangeTblEntry* entry = only_relation(query);
  filtered = filtered || query->jointree->quals != nullptr;
  if (entry->rtekind == RTE_SUBQUERY) {
    width = list_length(entry->subquery->targetList);
    carry(entry->subquery, request, prefix, filtered);
    append_carried_names(entry, with_key);
    append_carried(query, width, with_key, "");
  } else {
    Source* source = find_source(request.sources, entry->relid);
    width = list_length(source->columns);
    query_tree_walker(query, ANABRANCH_WALKER(renumber), source->columns, QTW_IGNORE_RANGE_TABLE);
    become_delta(entry, source, with_key, request.upserts);
    append_carried(query, width, with_key, prefix);
    if (with_key) {
      auto* path = static_cast<Path*>(palloc(sizeof(Path)));
      *path = Path{source, pstrdup(prefix), filtered};
      *request.paths = lappend(*request.paths, path);
    }
  }
}

struct Shadows {
  List* sources;
  List* shadows;
};

bool become_shadows(Node* node, Shadows* map) {
  if (node == nullptr) return false;
  if (IsA(node, RangeTblEntry)) {
    auto* entry = reinterpret_cast<RangeTblEntry*>(node);
    if (entry->rtekind == RTE_RELATION) {
      const Source* source = find_source(map->sources, entry->relid);
      if (entry->alias == nullptr) entry->alias = makeAlias(entry->eref->aliasname, NIL);
      entry->relid = list_nth_oid(map->shadows, source->ordinal - 1);
      entry->relkind = RELKIND_RELATION;
      entry->inh = true;
    }
    return false;
  }
  if (IsA(node, Query))
    return query_tree_walker(reinterpret_cast<Query*>(node), ANABRANCH_WALKER(become_shadows), map,
                             QTW_EXAMINE_RTES_BEFORE);
  return expression_tree_walker(node, ANABRANCH_WALKER(become_shadows), map);
}

}  // namespace

const char* upsert_name(int ordinal) {
  return psprintf("upsert_%d", ordinal);
}

const char* delta_name(int ordinal) {
  return psprintf("delta_%d", ordinal);
}

Query* over_deltas(const Query* level, List* expressions, List* names, List* sources, List** paths, bool upserts) {
  Query* query = copy(level);
  if (query->setOperations == nullptr) {
    query->targetList = NIL;
    ListCell *expression, *name;
    forboth(expression, expressions, name, names)
        append_target(query, copy(static_cast<Expr*>(lfirst(expression))), strVal(lfirst(name)));
  }
  query->groupClause = NIL;
  query->havingQual = nullptr;
  query->hasAggs = false;
  carry(query, Carry{sources, paths, upserts}, "", false);
  return query;
}

Query* over_shadows(const Query* top, List* sources, List* shadows) {
  Query* query = copy(top);
  Shadows map{sources, shadows};
  become_shadows(reinterpret_cast<Node*>(query), &map);
  return query;
}

char* deparse(Query* query) {
  // Constants print as the settings say, and must read the same when the statement is prepared under those pinned.
  const int level = pin_settings();
  char* text = pg_get_querydef(query, false);
  unpin_settings(level);
  // The server indents the first line.
  while (*text == ' ') text++;
  return text;
}

}  // namespace anabranch
