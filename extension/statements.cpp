#include "extension/statements.hpp"

extern "C" {
#include <catalog/heap.h>
#include <nodes/nodeFuncs.h>
#include <optimizer/optimizer.h>
#include <parser/analyze.h>
#include <tcop/tcopprot.h>
#include <utils/ruleutils.h>
#include <utils/typcache.h>
}

#include "extension/aggregates.hpp"
#include "extension/rewrite.hpp"
#include "extension/text.hpp"

namespace anabranch {
namespace {

// A column of the state table that holds a value of the query.
struct Kept {
  const char* name;  // quoted
  Node* expression;
};

bool usable_name(const char* name, List* taken) {
  if (name == nullptr || strncmp(name, "anabranch_", 10) == 0 || SystemAttributeByName(name) != nullptr) return false;
  ListCell* cell;
  foreach (cell, taken)
    if (strcmp(static_cast<Kept*>(lfirst(cell))->name, quote_identifier(name)) == 0) return false;
  return true;
}

// The user's name where the table can have it, a hidden one otherwise.
List* add_kept(List* kept, const char* name, Node* expression) {
  auto* column = static_cast<Kept*>(palloc(sizeof(Kept)));
  if (!usable_name(name, kept)) name = psprintf("anabranch_g%d", list_length(kept) + 1);
  *column = Kept{pstrdup(quote_identifier(name)), expression};
  return lappend(kept, column);
}

void check_storable(Node* expression, const char* what, const char* name) {
  const Oid type = exprType(expression);
  if (get_typtype(getBaseType(type)) == TYPTYPE_PSEUDO)
    ereport(ERROR, (errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
                    errmsg("%s \"%s\" has type %s, which no table can hold", what, name, format_type_be(type)),
                    errhint("Select the fields one by one, or cast to a type of your own.")));
}

// Group keys are matched by the unique index on them.
void check_group_key(Node* expression, const char* name) {
  check_storable(expression, "group column", name);
  const Oid type = exprType(expression);
  if (!OidIsValid(lookup_type_cache(type, TYPECACHE_BTREE_OPFAMILY)->btree_opf))
    ereport(ERROR, (errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
                    errmsg("group column \"%s\" has type %s, which has no order", name, format_type_be(type)),
                    errdetail("The groups are found by a B-tree index."),
                    errhint("Cast it to a type with an order, such as text.")));
}

const char* definitions_of(List* kept) {
  Text text;
  ListCell* cell;
  foreach (cell, kept) {
    auto* column = static_cast<Kept*>(lfirst(cell));
    Node* value = column->expression;
    add(text, ", ", "%s", column_definition(column->name, exprType(value), exprTypmod(value), exprCollation(value)));
  }
  return text.c_str();
}

const char* names_of(List* kept, const char* prefix = "") {
  Text text;
  ListCell* cell;
  foreach (cell, kept) add(text, ", ", "%s%s", prefix, static_cast<Kept*>(lfirst(cell))->name);
  return text.c_str();
}

List* name_list(List* kept) {
  List* names = NIL;
  ListCell* cell;
  foreach (cell, kept) names = lappend(names, makeString(pstrdup(static_cast<Kept*>(lfirst(cell))->name)));
  return names;
}

// ---- class linear

struct Grouped {
  const Query* level;
  List* groups = NIL;  // of Kept*
  Aggregates aggregates;
};

Expr* final_column(int number, Node* like) {
  return reinterpret_cast<Expr*>(
      makeVar(1, static_cast<AttrNumber>(number), exprType(like), exprTypmod(like), exprCollation(like), 0));
}

// Replaces group expressions and aggregates by columns of `final`: g1, ..., then a1, ...
Node* finalize(Node* node, Grouped* grouped) {
  if (node == nullptr) return nullptr;
  int number = 0;
  ListCell* cell;
  foreach (cell, grouped->groups) {
    number++;
    if (equal(node, static_cast<Kept*>(lfirst(cell))->expression))
      return reinterpret_cast<Node*>(final_column(number, node));
  }
  if (IsA(node, Aggref))
    return reinterpret_cast<Node*>(
        final_column(number + add_call(&grouped->aggregates, grouped->level, reinterpret_cast<Aggref*>(node)), node));
  if (IsA(node, Var))
    ereport(ERROR,
            (errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
             errmsg("a column that is neither grouped nor aggregated is not kept, even where a key determines it"),
             errhint("Name every such column in GROUP BY.")));
  return expression_tree_mutator(node, ANABRANCH_MUTATOR(finalize), grouped);
}

List* all_counters(const Aggregates& aggregates) {
  List* counters = NIL;
  ListCell* cell;
  foreach (cell, aggregates.arguments)
    counters = list_concat(counters, counters_of(static_cast<Argument*>(lfirst(cell))));
  return counters;
}

const char* make_core(Definition* definition, const Grouped& grouped) {
  List *expressions = NIL, *names = NIL;
  ListCell* cell;
  foreach (cell, grouped.groups) {
    expressions = lappend(expressions, static_cast<Kept*>(lfirst(cell))->expression);
    names = lappend(names, makeString(psprintf("g%d", list_length(expressions))));
  }
  foreach (cell, grouped.aggregates.arguments) {
    auto* argument = static_cast<Argument*>(lfirst(cell));
    expressions = lappend(expressions, argument->expression);
    names = lappend(names, makeString(psprintf("a%d", argument->number)));
  }
  return deparse(over_deltas(definition->grouped, expressions, names, definition->sources, nullptr, false));
}

const char* make_fold(const Grouped& grouped, List* counters, const char* core) {
  Text outputs, keys;
  ListCell* cell;
  foreach (cell, grouped.groups) {
    const int number = foreach_current_index(cell) + 1;
    add(outputs, ", ", "g%d AS %s", number, static_cast<Kept*>(lfirst(cell))->name);
    add(keys, ", ", "g%d", number);
  }
  if (grouped.groups == NIL) add(outputs, "", "true AS anabranch_one");
  add(outputs, ", ", "coalesce(sum(anabranch_w), 0) AS anabranch_rows");
  foreach (cell, counters) {
    auto* counter = static_cast<Counter*>(lfirst(cell));
    add(outputs, ", ", "(%s)::%s AS %s", counter->fold, counter->type, counter->name);
  }
  return psprintf("SELECT %s FROM (%s) AS core%s%s", outputs.c_str(), core, keys.buffer.len > 0 ? " GROUP BY " : "",
                  keys.c_str());
}

// '1 mon' - '30 days' is 0 to the comparison of intervals and not to their addition.
const char* changes_of(const Grouped& grouped, List* counters) {
  if (grouped.groups == NIL) return "";
  Text text;
  add(text, "", "folded.anabranch_rows <> 0");
  ListCell* cell;
  foreach (cell, counters) {
    auto* counter = static_cast<Counter*>(lfirst(cell));
    if (strcmp(counter->type, "interval") == 0) return "";
    add(text, " OR ", "folded.%s <> %s", counter->name, counter->zero);
  }
  return psprintf(" AND (%s)", text.c_str());
}

const char* make_merge(const Grouped& grouped, List* counters, const char* state) {
  Text names, updates;
  if (grouped.groups != NIL) add(names, "", "%s", names_of(grouped.groups));
  add(names, ", ", "anabranch_rows");
  add(updates, ", ", "anabranch_rows = state.anabranch_rows + folded.anabranch_rows");
  ListCell* cell;
  foreach (cell, counters) {
    auto* counter = static_cast<Counter*>(lfirst(cell));
    const char* kept = psprintf("state.%s", counter->name);
    const char* part = psprintf("folded.%s", counter->name);
    add(names, ", ", "%s", counter->name);
    add(updates, ", ", "%s = %s", counter->name, psprintf(counter->add, kept, part));
  }
  return psprintf(
      // In the order of the table, so that a page is met once and not for each group on it.
      "WITH updated AS (UPDATE ONLY %1$s AS state SET %2$s FROM (SELECT * FROM folded WHERE anabranch_place IS NOT "
      "NULL "
      "ORDER BY anabranch_place) AS folded WHERE state.ctid = folded.anabranch_place%3$s "
      "RETURNING state.ctid, state.anabranch_rows), "
      "added AS (INSERT INTO %1$s AS state (%4$s) SELECT %4$s FROM folded WHERE folded.anabranch_place IS NULL%3$s "
      "RETURNING state.ctid, state.anabranch_rows) "
      "SELECT ctid, anabranch_rows FROM (TABLE updated UNION ALL TABLE added) AS merged WHERE anabranch_rows %5$s 0",
      state, updates.c_str(), changes_of(grouped, counters), names.c_str(),
      // Without GROUP BY there is one row whatever happens.
      grouped.groups == NIL ? "<" : "<=");
}

const char* make_final(const Grouped& grouped, const char* state) {
  const char* from = psprintf("%s AS state", state);
  for (int stage = 0; stage < 4; stage++) {
    Text more;
    ListCell *cell, *item;
    foreach (cell, grouped.aggregates.arguments) {
      List* stages = derived_of(static_cast<Argument*>(lfirst(cell)));
      if (stages == NIL) continue;
      foreach (item, static_cast<List*>(list_nth(stages, stage)))
        add(more, ", ", "%s", static_cast<char*>(lfirst(item)));
    }
    if (more.buffer.len > 0) from = psprintf("(SELECT *, %s FROM %s) AS state", more.c_str(), from);
  }
  Text outputs;
  ListCell* cell;
  foreach (cell, grouped.groups)
    add(outputs, ", ", "%s AS g%d", static_cast<Kept*>(lfirst(cell))->name, foreach_current_index(cell) + 1);
  foreach (cell, grouped.aggregates.calls)
    add(outputs, ", ", "%s AS a%d", result_of(static_cast<Call*>(lfirst(cell))), foreach_current_index(cell) + 1);
  // SELECT DISTINCT by way of GROUP BY without aggregates still needs a column where there is no group.
  if (outputs.buffer.len == 0) add(outputs, "", "anabranch_rows");
  return psprintf("SELECT %s FROM %s", outputs.c_str(), from);
}

// The grouped level becomes a selection from `final`, which is put in by make_shown.
RangeTblEntry* become_final(Query* query, const Grouped& grouped, List* targets, Node* having) {
  List* names = NIL;
  ListCell* cell;
  foreach (cell, grouped.groups) names = lappend(names, makeString(psprintf("g%d", foreach_current_index(cell) + 1)));
  foreach (cell, grouped.aggregates.calls)
    names = lappend(names, makeString(psprintf("a%d", foreach_current_index(cell) + 1)));
  auto* entry = makeNode(RangeTblEntry);
  entry->rtekind = RTE_SUBQUERY;
  entry->alias = makeAlias("final", NIL);
  entry->eref = makeAlias("final", names);
  entry->inFromCl = true;
  auto* reference = makeNode(RangeTblRef);
  reference->rtindex = 1;
  query->rtable = list_make1(entry);
  query->jointree = makeFromExpr(list_make1(reference), having);
  query->targetList = NIL;
  foreach (cell, targets) {
    auto* target = lfirst_node(TargetEntry, cell);
    target->ressortgroupref = 0;
    if (!target->resjunk) query->targetList = lappend(query->targetList, target);
  }
  query->groupClause = NIL;
  query->havingQual = nullptr;
  query->hasAggs = false;
  return entry;
}

Statements make_linear(Definition* definition, const char* state) {
  Query* query = definition->grouped;
  Grouped grouped{query, NIL, {}};
  ListCell* cell;
  foreach (cell, query->groupClause) {
    TargetEntry* target = get_sortgroupclause_tle(lfirst_node(SortGroupClause, cell), query->targetList);
    auto* expression = reinterpret_cast<Node*>(target->expr);
    check_group_key(expression, target->resname != nullptr ? target->resname : "?column?");
    grouped.groups = add_kept(grouped.groups, target->resjunk ? nullptr : target->resname, expression);
  }
  if (list_length(grouped.groups) > INDEX_MAX_KEYS)
    ereport(ERROR,
            (errcode(ERRCODE_TOO_MANY_COLUMNS), errmsg("more than %d group columns are not kept", INDEX_MAX_KEYS)));
  // The targets as they are now stay with the groups: finalize() copies what it changes.
  auto* targets = reinterpret_cast<List*>(finalize(reinterpret_cast<Node*>(query->targetList), &grouped));
  Node* having = finalize(query->havingQual, &grouped);
  List* counters = all_counters(grouped.aggregates);

  Text columns;
  if (grouped.groups != NIL) add(columns, "", "%s", definitions_of(grouped.groups));
  const char* key_columns = "anabranch_one";
  if (grouped.groups == NIL)
    add(columns, ", ", "anabranch_one boolean NOT NULL DEFAULT true");
  else
    key_columns = names_of(grouped.groups);
  add(columns, ", ", "anabranch_rows bigint NOT NULL");
  foreach (cell, counters) {
    auto* counter = static_cast<Counter*>(lfirst(cell));
    add(columns, ", ", "%s %s NOT NULL", counter->name, counter->type);
  }
  Statements statements = {};
  statements.columns = columns.c_str();
  statements.key_columns = key_columns;
  statements.key_names = name_list(grouped.groups);
  statements.fold = make_fold(grouped, counters, make_core(definition, grouped));
  statements.merge = make_merge(grouped, counters, state);
  statements.values = make_final(grouped, state);
  statements.final = become_final(query, grouped, targets, having);
  return statements;
}

// ---- class rows

bool counts_images(const Definition* definition) {
  return static_cast<Source*>(linitial(definition->sources))->key == NIL;
}

const char* numbered(const char* prefix, int count, const char* more) {
  Text text;
  for (int i = 1; i <= count; i++) add(text, ", ", "%s%d", prefix, i);
  add(text, ", ", "%s", more);
  return text.c_str();
}

// Keys whose row may have gone from the output: one SELECT for each way up. The columns come, as NULL, from the state
// table: NULL cast to a domain would be checked by the domain, and a base type in its place would be checked on its way
// into the table, where no expression of a user's may run.
const char* make_gone(List* kept, List* paths, const char* state) {
  Text text;
  ListCell* cell;
  foreach (cell, paths) {
    auto* path = static_cast<Path*>(lfirst(cell));
    add(text, "",
        " UNION ALL SELECT %s, '\\x%s'::bytea || delta.anabranch_key, false FROM %s AS delta LEFT JOIN ONLY %s AS "
        "state ON false%s",
        names_of(kept, "state."), path->prefix, delta_name(path->source->ordinal), state,
        path->filtered ? "" : " WHERE delta.anabranch_w < 0");
  }
  return text.c_str();
}

const char* make_upserts(const Definition* definition) {
  Text text;
  ListCell* cell;
  foreach (cell, definition->sources) {
    const int ordinal = static_cast<Source*>(lfirst(cell))->ordinal;
    add(text, ", ", "%s AS MATERIALIZED (SELECT * FROM %s WHERE anabranch_w > 0)", upsert_name(ordinal),
        delta_name(ordinal));
  }
  return psprintf("WITH %s", text.c_str());
}

Statements make_rows(Definition* definition, const char* state) {
  List *kept = NIL, *expressions = NIL, *names = NIL, *paths = NIL;
  Text view_columns, updates, old_row, new_row;
  ListCell* cell;
  foreach (cell, definition->top->targetList) {
    auto* target = lfirst_node(TargetEntry, cell);
    auto* expression = reinterpret_cast<Node*>(target->expr);
    check_storable(expression, "column", target->resname);
    kept = add_kept(kept, target->resname, expression);
    expressions = lappend(expressions, expression);
    names = lappend(names, makeString(psprintf("r%d", list_length(kept))));
    auto* column = static_cast<Kept*>(llast(kept));
    add(view_columns, ", ", "%s AS %s", column->name, quote_identifier(target->resname));
    add(updates, ", ", "%s = folded.r%d", column->name, list_length(kept));
    add(old_row, ", ", "state.%s", column->name);
    add(new_row, ", ", "folded.r%d", list_length(kept));
  }
  const bool counted = counts_images(definition);
  Query* query = over_deltas(definition->top, expressions, names, definition->sources, &paths, !counted);
  const int count = list_length(kept);
  const char* core = psprintf("(%s) AS core(%s)", deparse(query), numbered("r", count, "anabranch_key, anabranch_w"));
  const char* outputs = numbered("r", count, "anabranch_key");
  const char* kept_names = names_of(kept);

  Statements statements = {};
  statements.key_columns = key_column;
  statements.key_names = name_list(kept);
  if (counted) {
    statements.columns =
        psprintf("%s, anabranch_key bytea NOT NULL, anabranch_rows bigint NOT NULL", definitions_of(kept));
    statements.fold = psprintf(
        "SELECT DISTINCT ON (anabranch_key) %s, sum(anabranch_w) OVER (PARTITION BY anabranch_key) AS anabranch_rows "
        "FROM %s",
        outputs, core);
    statements.merge = psprintf(
        "WITH updated AS (UPDATE ONLY %1$s AS state SET anabranch_rows = state.anabranch_rows + folded.anabranch_rows "
        "FROM folded WHERE state.ctid = folded.anabranch_place AND folded.anabranch_rows <> 0 "
        "RETURNING state.ctid, state.anabranch_rows), "
        "added AS (INSERT INTO %1$s AS state (%2$s, anabranch_key, anabranch_rows) SELECT %3$s, anabranch_rows FROM "
        "folded WHERE anabranch_place IS NULL AND anabranch_rows <> 0 RETURNING state.ctid, state.anabranch_rows) "
        "SELECT ctid, anabranch_rows FROM (TABLE updated UNION ALL TABLE added) AS merged WHERE anabranch_rows <= 0",
        state, kept_names, outputs);
    statements.values =
        psprintf("SELECT %s FROM %s AS state, generate_series(1, anabranch_rows)", view_columns.c_str(), state);
  } else {
    statements.columns = psprintf("%s, anabranch_key bytea NOT NULL", definitions_of(kept));
    statements.fold = psprintf("%s SELECT %s, true AS anabranch_present FROM %s%s", make_upserts(definition), outputs,
                               core, make_gone(kept, paths, state));
    statements.merge = psprintf(
        "WITH gone AS (DELETE FROM ONLY %1$s AS state WHERE state.ctid = ANY (ARRAY("
        "SELECT anabranch_place FROM folded WHERE NOT anabranch_present AND anabranch_place IS NOT NULL "
        "EXCEPT SELECT anabranch_place FROM folded WHERE anabranch_present))), "
        "updated AS (UPDATE ONLY %1$s AS state SET %2$s FROM folded WHERE state.ctid = folded.anabranch_place "
        "AND folded.anabranch_present AND ROW(%3$s)::record *<> ROW(%4$s)::record), "
        "added AS (INSERT INTO %1$s AS state (%5$s, anabranch_key) SELECT %6$s FROM folded "
        "WHERE anabranch_present AND anabranch_place IS NULL) "
        "SELECT NULL::tid, 0::bigint WHERE false",
        state, updates.c_str(), old_row.c_str(), new_row.c_str(), kept_names, outputs);
    statements.values = psprintf("SELECT %s FROM %s AS state", view_columns.c_str(), state);
  }
  return statements;
}

}  // namespace

const char* column_definition(const char* name, Oid type, int32 modifier, Oid collation) {
  const char* text = psprintf(
      "%s %s", name, format_type_extended(type, modifier, FORMAT_TYPE_TYPEMOD_GIVEN | FORMAT_TYPE_FORCE_QUALIFY));
  if (OidIsValid(collation) && collation != get_typcollation(type))
    text = psprintf("%s COLLATE %s", text, generate_collation_name(collation));
  return text;
}

Statements make_statements(Definition* definition, const char* state) {
  return definition->grouped != nullptr ? make_linear(definition, state) : make_rows(definition, state);
}

const char* make_shown(const Definition& definition, const Statements& statements) {
  if (statements.final == nullptr) return statements.values;
  auto* raw = linitial_node(RawStmt, pg_parse_query(statements.values));
  statements.final->subquery = parse_analyze_fixedparams(raw, statements.values, nullptr, 0, nullptr);
  return deparse(definition.top);
}

}  // namespace anabranch
