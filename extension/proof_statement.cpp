#include "extension/proof_statement.hpp"

extern "C" {
#include <nodes/nodeFuncs.h>
#include <parser/analyze.h>
#include <parser/parser.h>
#include <utils/ruleutils.h>
#include <utils/typcache.h>
}

#include "extension/apply.hpp"
#include "extension/proof_shape.hpp"
#include "extension/rewrite.hpp"
#include "extension/text.hpp"

namespace anabranch {
namespace {

// ---- What should be

const char* source_columns(const CopySource& source) {
  Text text;
  for (int i = 0; i < source.column_count; i++)
    add(text, ", ", "%s", quote_identifier(NameStr(TupleDescAttr(source.delta, i)->attname)));
  return text.c_str();
}

// The row's key from its columns, as it would stand in a row of the stream.
const char* key_expression(const CopySource& source) {
  Text numbers, values;
  for (int place = 0; place < source.column_count; place++) {
    bool wanted = source.key_count == 0;
    for (int i = 0; i < source.key_count; i++) wanted = wanted || source.key[i] == place;
    if (!wanted) continue;
    add(numbers, ",", "%d", source.numbers[place]);
    add(values, ", ", "%s", quote_identifier(NameStr(TupleDescAttr(source.delta, place)->attname)));
  }
  return psprintf("anabranch.row_key('{%s}'%s%s) AS anabranch_key, ", numbers.c_str(), values.empty() ? "" : ", ",
                  values.c_str());
}

// delta_<n> as all rows of the sources, each with weight 1; `reversed`: and the changes taken back.
const char* sources_as_deltas(const Copy* copy, bool reversed) {
  Text text;
  for (int i = 0; i < copy->source_count; i++) {
    const CopySource& source = copy->sources[i];
    const char* columns = source_columns(source);
    const char* separator = source.column_count > 0 ? ", " : "";
    const bool partitioned = get_rel_relkind(source.relation) == RELKIND_PARTITIONED_TABLE;
    add(text, ", ", "%s AS NOT MATERIALIZED (SELECT %s%s%s1 AS anabranch_w FROM %s%s", source.delta_name, columns,
        separator, copy->rows_class ? key_expression(source) : "", partitioned ? "" : "ONLY ",
        quoted_name(source.relation));
    if (reversed)
      add(text, " ", "UNION ALL SELECT %s%s%s-anabranch_w FROM %s", columns, separator,
          copy->rows_class ? "anabranch_key, " : "", changed_name(source.ordinal));
    add(text, "", ")");
  }
  return text.c_str();
}

const char* changes_as_deltas(const Copy* copy) {
  Text text;
  for (int i = 0; i < copy->source_count; i++)
    add(text, ", ", "%s AS NOT MATERIALIZED (TABLE %s)", copy->sources[i].delta_name,
        changed_name(copy->sources[i].ordinal));
  return text.c_str();
}

// The columns of the state table under c1, c2, ...; `deltas`: what delta_<n> is.
const char* folded(const Copy* copy, const Shape& shape, const char* deltas) {
  const int count = shape.state->natts;
  const bool grouped =
      shape.key_count > 0 && strcmp(NameStr(TupleDescAttr(shape.state, 0)->attname), "anabranch_one") != 0;
  const char* more = shape.keyed ? ", present" : "";
  return psprintf("(WITH %s SELECT %s%s FROM (%s) AS fold(%s%s)%s)", deltas, numbered("c", count), more,
                  copy->fold_text, numbered("c", count), more,
                  shape.keyed                   ? ""
                  : copy->rows_class || grouped ? psprintf(" WHERE c%d <> 0", get_attnum(copy->state, rows_column))
                                                : "");
}

const char* expected_rows(const Copy* copy, const Shape& shape, const ProofScope& scope) {
  const int count = shape.state->natts;
  if (OidIsValid(scope.expected_state))
    return psprintf("(SELECT %s FROM ONLY %s AS twin(%s))", numbered("c", count), quoted_name(scope.expected_state),
                    numbered("c", count));
  const char* rows = folded(copy, shape, sources_as_deltas(copy, scope.has_changes && !shape.keyed));
  return shape.keyed ? psprintf("(SELECT %s FROM %s AS expected WHERE present)", numbered("c", count), rows) : rows;
}

// What is kept, with where it is; for rows with keys once the changes are in.
const char* kept_rows(const Copy* copy, const Shape& shape, const ProofScope& scope) {
  const char* columns = numbered("c", shape.state->natts);
  const char* rows = psprintf("SELECT %s FROM ONLY %s AS state(%s)", columns, quoted_name(copy->state), columns);
  if (!shape.keyed || !scope.has_changes) return psprintf("(%s)", rows);
  const int key = shape.key_first + 1;
  return psprintf(
      "(%s WHERE NOT EXISTS (SELECT FROM redone WHERE redone.c%d = state.c%d) "
      "UNION ALL SELECT %s FROM redone WHERE present)",
      rows, key, key, columns);
}

const char* where(const ProofScope& scope) {
  return scope.condition == nullptr ? "" : psprintf(" WHERE %s", scope.condition);
}

const char* redone_rows(const Copy* copy, const Shape& shape, const ProofScope& scope) {
  if (!shape.keyed || !scope.has_changes) return "";
  return psprintf("WITH redone AS MATERIALIZED %s ", folded(copy, shape, changes_as_deltas(copy)));
}

// ---- Comparing

bool become_one(Node* node, Oid* state) {
  if (node == nullptr) return false;
  if (IsA(node, RangeTblEntry)) {
    auto* entry = reinterpret_cast<RangeTblEntry*>(node);
    if (entry->rtekind == RTE_RELATION && entry->relid == *state) {
      auto* one = makeNode(RangeTblEntry);
      one->rtekind = RTE_CTE;
      one->ctename = pstrdup("one");
      one->alias = makeAlias(entry->eref->aliasname, NIL);
      one->eref = makeAlias(entry->eref->aliasname, entry->eref->colnames);
      one->inFromCl = true;
      *entry = *one;
    }
    return false;
  }
  if (IsA(node, Query))
    return query_tree_walker(reinterpret_cast<Query*>(node), ANABRANCH_WALKER(become_one), state,
                             QTW_EXAMINE_RTES_BEFORE);
  return expression_tree_walker(node, ANABRANCH_WALKER(become_one), state);
}

// The view's query over `one`, a row of the state table.
const char* shown_over_one(const Copy* copy) {
  RawStmt* statement = linitial_node(RawStmt, raw_parser(copy->shown_view, RAW_PARSE_DEFAULT));
  Query* query = parse_analyze_fixedparams(statement, copy->shown_view, nullptr, 0, nullptr);
  Oid state = copy->state;
  become_one(reinterpret_cast<Node*>(query), &state);
  return deparse(query);
}

// True when the counters e and a of a group are not the same number. Arrays of counts go on with zeros.
const char* counter_differs(Oid type, const char* e, const char* a) {
  if (type == INT8ARRAYOID)
    return psprintf(
        "(%1$s <> %2$s AND EXISTS (SELECT FROM unnest(%1$s, %2$s) AS pair(e, a) WHERE coalesce(e, 0) <> coalesce(a, "
        "0)))",
        e, a);
  // Their equality takes 30 days for a month.
  if (type == INTERVALOID) return psprintf("%s::text <> %s::text", e, a);
  return psprintf("%s <> %s", e, a);
}

// One side of each group in one row: its columns under a prefix, and in how many rows it was. `is_unique`: in one.
const char* one_side(const Shape& shape, const char* rows, const char* prefix, const char* times, bool is_unique,
                     const char* condition) {
  Text outputs, keys;
  for (int i = 0; i < shape.state->natts; i++) {
    const int n = i + 1;
    if (is_key(shape, i)) add(keys, ", ", "c%d", n);
    add(outputs, ", ", is_unique || is_key(shape, i) ? "c%d AS %s%d" : "max(c%d) AS %s%d", n, prefix, n);
  }
  return psprintf("(SELECT %s, %s AS %s FROM %s AS rows%s%s%s)", outputs.c_str(), is_unique ? "1::bigint" : "count(*)",
                  times, rows, condition, is_unique ? "" : " GROUP BY ", is_unique ? "" : keys.c_str());
}

// The condition that a key of both sides is the same, where a hash join can look for it; nullptr: it cannot.
const char* hashed_equality(const Shape& shape) {
  Text same;
  for (int i = 0; i < shape.state->natts; i++) {
    if (!is_key(shape, i)) continue;
    const Oid type = TupleDescAttr(shape.state, i)->atttypid;
    const Oid operation = lookup_type_cache(type, TYPECACHE_EQ_OPR)->eq_opr;
    if (!OidIsValid(operation) || !op_hashjoinable(operation, type)) return nullptr;
    add(same, " AND ", "e%d %s a%d", i + 1, equality(type), i + 1);
  }
  return same.empty() ? nullptr : same.c_str();
}

// Both sides of each group in one row, as GROUP BY matches them.
const char* groups_by_grouping(const Shape& shape, const char* expected, const char* kept, const char* condition) {
  Text outputs_e, outputs_a, keys;
  for (int i = 0; i < shape.state->natts; i++) {
    const int n = i + 1;
    if (is_key(shape, i)) {
      add(keys, ", ", "c%d", n);
      add(outputs_e, ", ", "c%d AS e%d", n, n);
      add(outputs_a, ", ", "c%d AS a%d", n, n);
    } else {
      add(outputs_e, ", ", "max(c%d) FILTER (WHERE side = 1) AS e%d", n, n);
      add(outputs_a, ", ", "max(c%d) FILTER (WHERE side = 2) AS a%d", n, n);
    }
  }
  return psprintf(
      "SELECT %1$s, %2$s, count(*) FILTER (WHERE side = 1) AS expected, count(*) FILTER (WHERE side = 2) AS kept FROM "
      "(SELECT 1 AS "
      "side, %3$s FROM %4$s AS expected%6$s UNION ALL SELECT 2, %3$s FROM %5$s AS kept%6$s) AS side GROUP BY %7$s",
      outputs_e.c_str(), outputs_a.c_str(), numbered("c", shape.state->natts), expected, kept, condition, keys.c_str());
}

// The same by a join, which adds a third of that to the fold; but it matches no NULL: groups with one, few as a rule,
// are matched as above. `is_unique`: no group stands twice in `expected`.
const char* groups_by_join(const Shape& shape, const char* expected, const char* kept, const ProofScope& scope,
                           bool is_unique) {
  const char* same = hashed_equality(shape);
  if (same == nullptr) return groups_by_grouping(shape, expected, kept, where(scope));
  Text nulls;
  for (int i = 0; i < shape.state->natts; i++)
    if (is_key(shape, i)) add(nulls, " OR ", "c%d IS NULL", i + 1);
  const char* more = scope.condition == nullptr ? "" : psprintf(" AND %s", scope.condition);
  const char* without_null = psprintf(" WHERE NOT (%s)%s", nulls.c_str(), more);
  return psprintf(
      "SELECT %s, %s, coalesce(expected, 0) AS expected, coalesce(kept, 0) AS kept FROM %s AS e FULL JOIN %s AS a ON "
      "%s "
      "UNION ALL %s",
      numbered("e", shape.state->natts), numbered("a", shape.state->natts),
      one_side(shape, expected, "e", "expected", is_unique, without_null),
      one_side(shape, kept, "a", "kept", false, without_null), same,
      groups_by_grouping(shape, expected, kept, psprintf(" WHERE (%s)%s", nulls.c_str(), more)));
}

// Both sides of each group in one row: e1, e2, ... and a1, a2, ..., in how many rows (expected, kept), and whether they
// differ.
const char* grouped_pairs(const Shape& shape, const char* expected, const char* kept, const ProofScope& scope) {
  Text differs;
  for (int i = 0; i < shape.state->natts; i++)
    if (!is_key(shape, i))
      add(differs, " OR ", "%s",
          counter_differs(TupleDescAttr(shape.state, i)->atttypid, psprintf("e%d", i + 1), psprintf("a%d", i + 1)));
  return psprintf("(SELECT *, expected <> 1 OR kept <> 1 OR (%s) AS differs FROM (%s) AS pair)", differs.c_str(),
                  groups_by_join(shape, expected, kept, scope, !OidIsValid(scope.expected_state)));
}

// Whether reading and printing a value of the type gives the same image again.
bool has_one_image(Oid type) {
  return is_one_of(getBaseType(type),
                   {BOOLOID, INT2OID, INT4OID, INT8OID, FLOAT4OID, FLOAT8OID, DATEOID, TIMEOID, TIMESTAMPOID,
                    TIMESTAMPTZOID, UUIDOID, TEXTOID, BYTEAOID, OIDOID, CHAROID, NAMEOID, VARCHAROID});
}

// The same for rows, joined by their key.
const char* joined_pairs(const Shape& shape, const char* expected, const char* kept, const ProofScope& scope) {
  Text outputs, left, right, left_text, right_text;
  for (int i = 0; i < shape.state->natts; i++) {
    const int n = i + 1;
    add(outputs, ", ", "e.c%d AS e%d, a.c%d AS a%d", n, n, n, n);
    if (is_key(shape, i)) continue;
    add(left, ", ", "e.c%d", n);
    add(right, ", ", "a.c%d", n);
    if (has_one_image(TupleDescAttr(shape.state, i)->atttypid)) {
      add(left_text, ", ", "e.c%d", n);
      add(right_text, ", ", "a.c%d", n);
    } else {
      add(left_text, ", ", "e.c%d::text COLLATE \"C\"", n);
      add(right_text, ", ", "a.c%d::text COLLATE \"C\"", n);
    }
  }
  const int key = shape.key_first + 1;
  const char* columns = numbered("c", shape.state->natts);
  const char* differs = left.empty()
                            ? "false"
                            : psprintf("ROW(%s)::record *<> ROW(%s)::record AND ROW(%s)::record *<> ROW(%s)::record",
                                       left.c_str(), right.c_str(), left_text.c_str(), right_text.c_str());
  return psprintf(
      "(SELECT *, expected <> 1 OR kept <> 1 OR differing AS differs FROM (SELECT %1$s, (e.c%2$d IS NOT NULL)::int AS "
      "expected, "
      "coalesce(a.times, 0) AS kept, coalesce(%3$s, false) AS differing FROM (SELECT %4$s FROM %5$s AS expected%7$s) "
      "AS e "
      "FULL JOIN (SELECT DISTINCT ON (c%2$d) %4$s, count(*) OVER (PARTITION BY c%2$d) AS times FROM %6$s AS kept%7$s) "
      "AS a "
      "ON e.c%2$d = a.c%2$d) AS pair)",
      outputs.c_str(), key, differs, columns, expected, kept, where(scope));
}

const char* key_json(const Shape& shape) {
  Text text;
  for (int i = 0; i < shape.state->natts; i++)
    if (is_key(shape, i))
      add(text, ", ", "%s, coalesce(e%d, a%d)%s", quote_literal_cstr(NameStr(TupleDescAttr(shape.state, i)->attname)),
          i + 1, i + 1,
          is_one_of(getBaseType(TupleDescAttr(shape.state, i)->atttypid),
                    {BOOLOID, INT2OID, INT4OID, INT8OID, NUMERICOID})
              ? ""
              : "::text");
  return psprintf("jsonb_build_object(%s)", text.c_str());
}

}  // namespace

const char* changed_name(int ordinal) {
  return psprintf("changed_%d", ordinal);
}

const char* proof_statement(Copy* copy, const ProofScope& scope) {
  const Shape shape = shape_of(copy);
  const char* expected = expected_rows(copy, shape, scope);
  const char* kept = kept_rows(copy, shape, scope);
  const char* pairs =
      copy->rows_class ? joined_pairs(shape, expected, kept, scope) : grouped_pairs(shape, expected, kept, scope);
  const char* row_type = quoted_name(copy->state);
  const int count = shape.state->natts;
  const char* view = shown_over_one(copy);
  const auto shown = [view](const char* row) {
    return psprintf("(WITH one AS (SELECT (%s).*) SELECT to_jsonb(shown) FROM (%s) AS shown LIMIT 1)", row, view);
  };
  return psprintf(
      "%1$sSELECT differs, class, key, CASE WHEN differs AND expected > 0 THEN %2$s END, CASE WHEN differs AND kept > "
      "0 THEN %3$s "
      "END, expected_row::text, kept_row::text FROM (SELECT differs, expected, kept, CASE WHEN NOT differs THEN NULL "
      "WHEN "
      "kept > 1 THEN 'duplicate' WHEN expected = 0 THEN 'extra' WHEN kept = 0 THEN 'missing' ELSE 'wrong' END AS "
      "class, "
      "CASE WHEN differs THEN %4$s END AS key, CASE WHEN differs AND expected > 0 THEN ROW(%5$s)::%7$s END AS "
      "expected_row, "
      "CASE WHEN differs AND kept > 0 THEN ROW(%6$s)::%7$s END AS kept_row FROM %8$s AS pair) AS difference",
      redone_rows(copy, shape, scope), shown("expected_row"), shown("kept_row"), key_json(shape), numbered("e", count),
      numbered("a", count), row_type, pairs);
}

const char* sketch_statement(Copy* copy, const ProofScope& scope, int buckets) {
  const Shape shape = shape_of(copy);
  Text sums;
  for (int i = 0; i < shape.state->natts; i++) {
    if (is_key(shape, i)) continue;
    const Oid type = TupleDescAttr(shape.state, i)->atttypid;
    if (!copy->rows_class && is_one_of(type, {INT8OID, NUMERICOID, MONEYOID})) add(sums, ", ", "sum(c%d)", i + 1);
    if (copy->rows_class) add(sums, ", ", "sum(hashtextextended(c%d::text COLLATE \"C\", %d)::numeric)", i + 1, i + 1);
  }
  add(sums, ", ", "count(*)");
  // One group in place of another, and a row more here for one less there.
  add(sums, ", ", "sum((hash_record_extended(%s, 1) & 2147483647)::numeric%s)", key_record(shape),
      copy->rows_class ? "" : psprintf(" * c%d", get_attnum(copy->state, rows_column)));
  const char* bucket = bucket_of(shape, buckets);
  const auto summed = [&](const char* rows) {
    return psprintf("SELECT %s AS bucket, ROW(%s)::record AS sums FROM %s AS side%s GROUP BY 1", bucket, sums.c_str(),
                    rows, where(scope));
  };
  return psprintf(
      "%sSELECT coalesce(e.bucket, a.bucket)::bigint FROM (%s) AS e FULL JOIN (%s) AS a ON e.bucket = a.bucket "
      "WHERE e.sums IS NULL OR a.sums IS NULL OR e.sums <> a.sums",
      redone_rows(copy, shape, scope), summed(expected_rows(copy, shape, scope)),
      summed(kept_rows(copy, shape, scope)));
}

const char* rows_statement(Oid view, Oid other) {
  TupleDesc columns = state_columns(view);
  TupleDesc others = state_columns(other);
  Text common;
  for (int i = 0; i < columns->natts; i++) {
    const Form_pg_attribute column = TupleDescAttr(columns, i);
    for (int k = 0; k < others->natts; k++) {
      const Form_pg_attribute match = TupleDescAttr(others, k);
      if (strcmp(NameStr(column->attname), NameStr(match->attname)) == 0 && column->atttypid == match->atttypid)
        add(common, ", ", "%s", quote_identifier(NameStr(column->attname)));
    }
  }
  if (common.empty()) add(common, "", "1 AS no_common_column");
  return psprintf(
      "SELECT more <> 0, CASE WHEN more > 0 THEN 'extra' WHEN more < 0 THEN 'missing' END, row::jsonb, CASE WHEN more "
      "< 0 THEN "
      "row::jsonb END, CASE WHEN more > 0 THEN row::jsonb END, NULL::text, NULL::text FROM (SELECT row, sum(side) AS "
      "more FROM ("
      "SELECT to_jsonb(shown)::text COLLATE \"C\" AS row, 1 AS side FROM (SELECT %1$s FROM %2$s) AS shown UNION ALL "
      "SELECT to_jsonb(shown)::text COLLATE \"C\", -1 FROM (SELECT %1$s FROM %3$s) AS shown) AS sides GROUP BY row) AS "
      "compared",
      common.c_str(), quoted_name(view), quoted_name(other));
}

namespace {

// What a counter has to be added to make `a` to `e`; either may be NULL.
const char* counter_correction(Oid type, const char* e, const char* a) {
  if (type == INT8ARRAYOID)
    return psprintf(
        "anabranch.add_counts(coalesce(%s, '{}'), ARRAY(SELECT -count FROM unnest(%s) WITH ORDINALITY AS counts(count, "
        "place) ORDER BY place))",
        e, a);
  const char* zero = type == INTERVALOID ? "'0'::interval" : type == MONEYOID ? "0::bigint::money" : "0";
  return psprintf("coalesce(%1$s, %3$s) - coalesce(%2$s, %3$s)", e, a, zero);
}

}  // namespace

const char* correction_statement(Copy* copy, bool has_changes) {
  const Shape shape = shape_of(copy);
  const int count = shape.state->natts;
  Text outputs;
  for (int i = 0; i < count; i++) {
    const Form_pg_attribute column = TupleDescAttr(shape.state, i);
    const char* e = psprintf("e.c%d", i + 1);
    const char* a = psprintf("a.c%d", i + 1);
    const bool counter = !is_key(shape, i) && (!copy->rows_class || strcmp(NameStr(column->attname), rows_column) == 0);
    const bool numbered_column = copy->rows_class && !counter && !is_key(shape, i);
    const char* name = numbered_column ? psprintf("r%d", i + 1) : quote_identifier(NameStr(column->attname));
    if (counter)
      add(outputs, ", ", "%s AS %s", counter_correction(column->atttypid, e, a), name);
    else if (shape.keyed && !is_key(shape, i))
      add(outputs, ", ", "%s AS %s", e, name);
    else
      add(outputs, ", ", "CASE WHEN wrong.expected IS NULL THEN %s ELSE %s END AS %s", a, e, name);
  }
  if (shape.keyed) add(outputs, ", ", "wrong.expected IS NOT NULL AS anabranch_present");
  const char* row_type = quoted_name(copy->state);
  const char* columns = numbered("c", count);
  const int key = shape.key_first + 1;
  ProofScope scope;
  scope.has_changes = has_changes;
  return psprintf(
      "%1$sSELECT %2$s, wrong.number AS anabranch_number FROM wrong CROSS JOIN LATERAL (SELECT "
      "(wrong.expected::%3$s).*) AS e(%4$s) "
      "CROSS JOIN LATERAL (SELECT (wrong.actual::%3$s).*) AS a(%4$s)%5$s",
      redone_rows(copy, shape, scope), outputs.c_str(), row_type, columns,
      shape.keyed && has_changes
          ? psprintf(" WHERE NOT EXISTS (SELECT FROM redone WHERE redone.c%1$d = coalesce(e.c%1$d, a.c%1$d))", key)
          : "");
}

}  // namespace anabranch
