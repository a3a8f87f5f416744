#include "extension/aggregates.hpp"

extern "C" {
#include <catalog/pg_aggregate.h>
#include <catalog/pg_namespace.h>
#include <utils/regproc.h>
#include <nodes/nodeFuncs.h>
#include <utils/fmgroids.h>
}

namespace anabranch {
namespace {

enum class Result { count, all_true, any_true, sum, average, sample_variance, variance, sample_deviation, deviation };

struct Known {
  Oid function;
  Result result;
};

constexpr Known known_aggregates[] = {
    {F_COUNT_, Result::count},
    {F_COUNT_ANY, Result::count},
    {F_BOOL_AND, Result::all_true},
    {F_EVERY, Result::all_true},
    {F_BOOL_OR, Result::any_true},
    {F_SUM_INT2, Result::sum},
    {F_SUM_INT4, Result::sum},
    {F_SUM_INT8, Result::sum},
    {F_SUM_NUMERIC, Result::sum},
    {F_SUM_MONEY, Result::sum},
    {F_SUM_INTERVAL, Result::sum},
    {F_AVG_INT2, Result::average},
    {F_AVG_INT4, Result::average},
    {F_AVG_INT8, Result::average},
    {F_AVG_NUMERIC, Result::average},
    {F_AVG_INTERVAL, Result::average},
    {F_VAR_POP_INT2, Result::variance},
    {F_VAR_POP_INT4, Result::variance},
    {F_VAR_POP_INT8, Result::variance},
    {F_VAR_POP_NUMERIC, Result::variance},
    {F_VAR_SAMP_INT2, Result::sample_variance},
    {F_VAR_SAMP_INT4, Result::sample_variance},
    {F_VAR_SAMP_INT8, Result::sample_variance},
    {F_VAR_SAMP_NUMERIC, Result::sample_variance},
    {F_VARIANCE_INT2, Result::sample_variance},
    {F_VARIANCE_INT4, Result::sample_variance},
    {F_VARIANCE_INT8, Result::sample_variance},
    {F_VARIANCE_NUMERIC, Result::sample_variance},
    {F_STDDEV_POP_INT2, Result::deviation},
    {F_STDDEV_POP_INT4, Result::deviation},
    {F_STDDEV_POP_INT8, Result::deviation},
    {F_STDDEV_POP_NUMERIC, Result::deviation},
    {F_STDDEV_SAMP_INT2, Result::sample_deviation},
    {F_STDDEV_SAMP_INT4, Result::sample_deviation},
    {F_STDDEV_SAMP_INT8, Result::sample_deviation},
    {F_STDDEV_SAMP_NUMERIC, Result::sample_deviation},
    {F_STDDEV_INT2, Result::sample_deviation},
    {F_STDDEV_INT4, Result::sample_deviation},
    {F_STDDEV_INT8, Result::sample_deviation},
    {F_STDDEV_NUMERIC, Result::sample_deviation},
};

const Known* find_known(Oid function) {
  for (const Known& known : known_aggregates)
    if (known.function == function) return &known;
  return nullptr;
}

// An aggregate that is kept over numeric, here over floating point.
bool over_floats(const Aggref* aggregate) {
  bool kept_over_numeric = false;
  for (const Known& known : known_aggregates)
    kept_over_numeric =
        kept_over_numeric || strcmp(get_func_name(known.function), get_func_name(aggregate->aggfnoid)) == 0;
  if (!kept_over_numeric || get_func_namespace(aggregate->aggfnoid) != PG_CATALOG_NAMESPACE) return false;
  ListCell* cell;
  foreach (cell, aggregate->aggargtypes) {
    const Oid type = getBaseType(lfirst_oid(cell));
    if (type == FLOAT4OID || type == FLOAT8OID) return true;
  }
  return false;
}

void check_call(const Aggref* aggregate) {
  const char* name = format_procedure(aggregate->aggfnoid);
  if (aggregate->agglevelsup != 0 || aggregate->aggkind != AGGKIND_NORMAL)
    ereport(ERROR, (errcode(ERRCODE_FEATURE_NOT_SUPPORTED), errmsg("%s is not yet kept incrementally", name)));
  if (aggregate->aggdistinct != NIL)
    ereport(ERROR,
            (errcode(ERRCODE_FEATURE_NOT_SUPPORTED), errmsg("DISTINCT in an aggregate is not yet kept incrementally"),
             errhint("Create an aggregate table that groups by the distinct values too, and count its rows.")));
  if (aggregate->aggorder != NIL)
    ereport(ERROR,
            (errcode(ERRCODE_FEATURE_NOT_SUPPORTED), errmsg("ORDER BY in an aggregate is not yet kept incrementally"),
             errhint("Sums and counts do not depend on the order: leave it out.")));
  if (find_known(aggregate->aggfnoid) != nullptr) return;
  if (over_floats(aggregate))
    ereport(ERROR,
            (errcode(ERRCODE_FEATURE_NOT_SUPPORTED), errmsg("%s cannot be kept exactly", name),
             errdetail("Sums of floating-point numbers depend on the order in which they are added, and what was "
                       "added cannot be taken away."),
             errhint("Cast the argument to numeric.")));
  ereport(ERROR,
          (errcode(ERRCODE_FEATURE_NOT_SUPPORTED), errmsg("%s is not yet kept incrementally", name),
           errhint("Kept are count, sum, avg, variance, var_pop, var_samp, stddev, stddev_pop, stddev_samp, bool_and, "
                   "bool_or and every.")));
}

Node* without_domain(Node* value) {
  int32 modifier = exprTypmod(value);
  const Oid base = getBaseTypeAndTypmod(exprType(value), &modifier);
  if (base == exprType(value)) return value;
  return reinterpret_cast<Node*>(
      makeRelabelType(reinterpret_cast<Expr*>(value), base, modifier, exprCollation(value), COERCE_EXPLICIT_CAST));
}

// What the call counts: nullptr for count(*).
Node* argument_expression(const Aggref* aggregate) {
  Node* value =
      aggregate->args == NIL ? nullptr : reinterpret_cast<Node*>(linitial_node(TargetEntry, aggregate->args)->expr);
  if (aggregate->aggfilter == nullptr) return value;
  if (value == nullptr) value = makeBoolConst(true, false);
  // A domain may refuse the NULL of the rows that the filter leaves out.
  value = without_domain(value);
  auto* when = makeNode(CaseWhen);
  when->expr = aggregate->aggfilter;
  when->result = reinterpret_cast<Expr*>(value);
  when->location = -1;
  auto* expression = makeNode(CaseExpr);
  expression->casetype = exprType(value);
  expression->casecollid = exprCollation(value);
  expression->args = list_make1(when);
  expression->defresult =
      reinterpret_cast<Expr*>(makeNullConst(exprType(value), exprTypmod(value), exprCollation(value)));
  expression->location = -1;
  return reinterpret_cast<Node*>(expression);
}

// True where the expression is a constant in every branch that the rows come from. NOT NULL of a column is no promise:
// it can be taken back.
bool never_null(const Query* level, const Node* expression) {
  if (IsA(expression, RelabelType))
    return never_null(level, reinterpret_cast<Node*>(reinterpret_cast<const RelabelType*>(expression)->arg));
  if (IsA(expression, Const)) return !reinterpret_cast<const Const*>(expression)->constisnull;
  if (!IsA(expression, Var)) return false;
  const int column = reinterpret_cast<const Var*>(expression)->varattno;
  ListCell* cell;
  foreach (cell, level->rtable) {
    auto* entry = lfirst_node(RangeTblEntry, cell);
    if (entry->rtekind != RTE_SUBQUERY) return false;
    auto* target = static_cast<TargetEntry*>(list_nth(entry->subquery->targetList, column - 1));
    if (!never_null(entry->subquery, reinterpret_cast<Node*>(target->expr))) return false;
  }
  return true;
}

Argument* add_argument(Aggregates* aggregates, const Query* level, Node* expression) {
  if (expression == nullptr) return nullptr;
  ListCell* cell;
  foreach (cell, aggregates->arguments) {
    auto* argument = static_cast<Argument*>(lfirst(cell));
    if (equal(argument->expression, expression)) return argument;
  }
  auto* argument = static_cast<Argument*>(palloc0(sizeof(Argument)));
  argument->expression = expression;
  argument->number = list_length(aggregates->arguments) + 1;
  argument->type = getBaseType(exprType(expression));
  argument->never_null = never_null(level, expression);
  aggregates->arguments = lappend(aggregates->arguments, argument);
  return argument;
}

bool small_integer(const Argument* argument) {
  return argument->type == INT2OID || argument->type == INT4OID;
}

Counter* make_counter(const char* name, const char* type, const char* fold, const char* zero, const char* add) {
  auto* counter = static_cast<Counter*>(palloc(sizeof(Counter)));
  *counter = Counter{name, type, fold, zero, add};
  return counter;
}

// added - taken away, of an aggregate over the rows for which `condition` holds as well.
const char* signed_sum(const char* aggregate, const char* condition, const char* zero) {
  return psprintf(
      "coalesce(%1$s FILTER (WHERE anabranch_w > 0%2$s), %3$s) - coalesce(%1$s FILTER (WHERE anabranch_w < 0%2$s), "
      "%3$s)",
      aggregate, condition, zero);
}

const char* plus = "%1$s + %2$s";

const char* count_name(const Argument* argument) {
  return argument->never_null ? "anabranch_rows" : psprintf("anabranch_n%d", argument->number);
}

Counter* sum_counter(const Argument* argument) {
  const int k = argument->number;
  const char* name = psprintf("anabranch_s%d", k);
  const char* aggregate = psprintf("sum(a%d)", k);
  if (argument->type == NUMERICOID)
    return make_counter(name, "numeric",
                        signed_sum(aggregate, psprintf(" AND a%1$d > '-Infinity' AND a%1$d < 'Infinity'", k), "0"), "0",
                        plus);
  if (argument->type == MONEYOID)
    return make_counter(name, "money", signed_sum(aggregate, "", "0::bigint::money"), "0::bigint::money", plus);
  if (argument->type == INTERVALOID)
    return make_counter(name, "interval", signed_sum(aggregate, "", "'0'::interval"), "'0'::interval", plus);
  return make_counter(name, small_integer(argument) ? "bigint" : "numeric", signed_sum(aggregate, "", "0"), "0", plus);
}

Counter* square_counter(const Argument* argument) {
  const int k = argument->number;
  const char* name = psprintf("anabranch_q%d", k);
  if (argument->type == NUMERICOID)
    return make_counter(name, "numeric",
                        signed_sum(psprintf("sum(a%1$d * a%1$d)", k),
                                   psprintf(" AND a%1$d > '-Infinity' AND a%1$d < 'Infinity'", k), "0"),
                        "0", plus);
  const char* wide = small_integer(argument) ? "bigint" : "numeric";
  return make_counter(name, "numeric", signed_sum(psprintf("sum(a%1$d::%2$s * a%1$d::%2$s)", k, wide), "", "0"), "0",
                      plus);
}

const char* derived(const char* expression, const char* name, int number) {
  return psprintf("%s AS anabranch_%s%d", expression, name, number);
}

// One of the two variances, NaN and NULL apart: 0 when rounding or equal values leave nothing.
const char* variance_text(const Argument* argument, bool sample) {
  return psprintf(
      "CASE WHEN %3$s > %2$d THEN CASE WHEN anabranch_spread%1$d <= 0 THEN 0 "
      "ELSE anabranch_spread%1$d / (%3$s::numeric * (%3$s - %2$d)) END END",
      argument->number, sample ? 1 : 0, count_name(argument));
}

// sqrt() chooses fewer digits than the server's own stddev rounds from. With twice the variance's scale no tie can be
// mistaken: the square of a number that ends in 5 behind the last digit kept is not a variance of that scale.
const char* deviation_text(const char* variance) {
  return psprintf("round(sqrt(round(%1$s, 2 * scale(%1$s) + length(trunc(%1$s)::text) + 8)), scale(%1$s))", variance);
}

// `text` where there are values enough, NaN where one is not finite.
const char* guarded(const Argument* argument, int more_than, const char* special, const char* text) {
  const int k = argument->number;
  if (argument->type == NUMERICOID)
    text = psprintf("CASE WHEN anabranch_special%d IS NULL THEN %s ELSE %s END", k, text, special);
  return psprintf("CASE WHEN %s > %d THEN %s END", count_name(argument), more_than, text);
}

}  // namespace

int add_call(Aggregates* aggregates, const Query* level, Aggref* aggregate) {
  ListCell* cell;
  int number = 0;
  foreach (cell, aggregates->calls) {
    number++;
    if (equal(static_cast<Call*>(lfirst(cell))->aggregate, aggregate)) return number;
  }
  check_call(aggregate);
  auto* call = static_cast<Call*>(palloc(sizeof(Call)));
  *call = Call{aggregate, add_argument(aggregates, level, argument_expression(aggregate))};
  aggregates->calls = lappend(aggregates->calls, call);
  if (Argument* argument = call->argument) {
    const Result result = find_known(aggregate->aggfnoid)->result;
    argument->truths |= result == Result::all_true || result == Result::any_true;
    argument->sum |= result >= Result::sum;
    argument->squares |= result >= Result::sample_variance;
  }
  return number + 1;
}

List* counters_of(const Argument* argument) {
  const int k = argument->number;
  List* counters = NIL;
  if (!argument->never_null)
    counters = lappend(counters, make_counter(count_name(argument), "bigint",
                                              psprintf("count(a%1$d) FILTER (WHERE anabranch_w > 0) - "
                                                       "count(a%1$d) FILTER (WHERE anabranch_w < 0)",
                                                       k),
                                              "0", plus));
  if (argument->truths)
    counters = lappend(counters, make_counter(psprintf("anabranch_t%d", k), "bigint",
                                              psprintf("count(*) FILTER (WHERE a%1$d AND anabranch_w > 0) - "
                                                       "count(*) FILTER (WHERE a%1$d AND anabranch_w < 0)",
                                                       k),
                                              "0", plus));
  if (argument->sum) counters = lappend(counters, sum_counter(argument));
  if (argument->squares) counters = lappend(counters, square_counter(argument));
  if (argument->sum && argument->type == NUMERICOID)
    counters = lappend(counters, make_counter(psprintf("anabranch_c%d", k), "bigint[]",
                                              psprintf("anabranch.census(a%d, anabranch_w)", k), "'{}'::bigint[]",
                                              "anabranch.add_counts(%1$s, %2$s)"));
  return counters;
}

List* derived_of(const Argument* argument) {
  const int k = argument->number;
  if (!argument->sum) return NIL;
  List *scales = NIL, *sums = NIL, *spread = NIL, *variances = NIL;
  const char* sum = psprintf("anabranch_s%d", k);
  const char* squares = psprintf("anabranch_q%d", k);
  if (argument->type == NUMERICOID) {
    scales = lappend(
        scales, const_cast<char*>(derived(psprintf("greatest(cardinality(anabranch_c%d) - 4, 0)", k), "scale", k)));
    scales = lappend(
        scales, const_cast<char*>(derived(
                    psprintf("CASE WHEN anabranch_c%1$d[1] > 0 OR anabranch_c%1$d[2] > 0 AND anabranch_c%1$d[3] > 0 "
                             "THEN 'NaN'::numeric WHEN anabranch_c%1$d[2] > 0 THEN 'Infinity'::numeric "
                             "WHEN anabranch_c%1$d[3] > 0 THEN '-Infinity'::numeric END",
                             k),
                    "special", k)));
    // round() goes no further than 2,000 digits.
    sums = lappend(
        sums, const_cast<char*>(derived(psprintf("CASE WHEN anabranch_scale%1$d <= 2000 THEN "
                                                 "round(anabranch_s%1$d, anabranch_scale%1$d) ELSE anabranch_s%1$d END",
                                                 k),
                                        "sum", k)));
    sum = psprintf("anabranch_sum%d", k);
    if (argument->squares) {
      sums = lappend(sums, const_cast<char*>(derived(
                               psprintf("CASE WHEN anabranch_scale%1$d <= 1000 THEN "
                                        "round(anabranch_q%1$d, 2 * anabranch_scale%1$d) ELSE anabranch_q%1$d END",
                                        k),
                               "squares", k)));
      squares = psprintf("anabranch_squares%d", k);
    }
  }
  if (argument->squares) {
    spread = lappend(
        spread, const_cast<char*>(derived(
                    psprintf("%1$s * %2$s - %3$s::numeric * %3$s", count_name(argument), squares, sum), "spread", k)));
    variances = lappend(variances, const_cast<char*>(derived(variance_text(argument, true), "var_samp", k)));
    variances = lappend(variances, const_cast<char*>(derived(variance_text(argument, false), "var_pop", k)));
  }
  return list_make4(scales, sums, spread, variances);
}

const char* result_of(const Call* call) {
  const Argument* argument = call->argument;
  if (argument == nullptr) return "anabranch_rows";
  const int k = argument->number;
  const char* special = psprintf("anabranch_special%d", k);
  const char* sum = argument->type == NUMERICOID ? psprintf("anabranch_sum%d", k) : psprintf("anabranch_s%d", k);
  switch (find_known(call->aggregate->aggfnoid)->result) {
    case Result::count:
      return count_name(argument);
    case Result::all_true:
      return psprintf("CASE WHEN %2$s > 0 THEN anabranch_t%1$d = %2$s END", k, count_name(argument));
    case Result::any_true:
      return psprintf("CASE WHEN %2$s > 0 THEN anabranch_t%1$d > 0 END", k, count_name(argument));
    case Result::sum:
      return guarded(argument, 0, special, sum);
    case Result::average:
      if (argument->type == INTERVALOID)
        return guarded(argument, 0, special, psprintf("%s / %s::double precision", sum, count_name(argument)));
      return guarded(argument, 0, special, psprintf("%s::numeric / %s", sum, count_name(argument)));
    case Result::sample_variance:
      return guarded(argument, 1, "'NaN'::numeric", psprintf("anabranch_var_samp%d", k));
    case Result::variance:
      return guarded(argument, 0, "'NaN'::numeric", psprintf("anabranch_var_pop%d", k));
    case Result::sample_deviation:
      return guarded(argument, 1, "'NaN'::numeric", deviation_text(psprintf("anabranch_var_samp%d", k)));
    case Result::deviation:
      return guarded(argument, 0, "'NaN'::numeric", deviation_text(psprintf("anabranch_var_pop%d", k)));
  }
  pg_unreachable();
}

}  // namespace anabranch
