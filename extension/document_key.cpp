#include "extension/document_key.hpp"

namespace anabranch {
namespace {

TargetEntry* find_output(const Query* query, const char* name) {
  ListCell* cell;
  foreach (cell, query->targetList) {
    auto* target = lfirst_node(TargetEntry, cell);
    if (!target->resjunk && strcmp(target->resname, name) == 0) return target;
  }
  ereport(ERROR, (errcode(ERRCODE_UNDEFINED_COLUMN), errmsg("column \"%s\" of the key does not exist", name),
                  errhint("The key names columns of the query's result.")));
}

// Which group an output of the definition is; -1: none.
int group_of(const Definition& definition, const TargetEntry* target) {
  const Query* query = definition.top;
  while (query != definition.grouped) {
    if (!IsA(target->expr, Var)) return -1;
    const RangeTblEntry* below = only_relation(query);
    if (below->rtekind != RTE_SUBQUERY) return -1;
    query = below->subquery;
    const int number = reinterpret_cast<const Var*>(target->expr)->varattno;
    target = static_cast<TargetEntry*>(list_nth(query->targetList, number - 1));
  }
  ListCell* cell;
  foreach (cell, query->groupClause) {
    const TargetEntry* group = get_sortgroupclause_tle(lfirst_node(SortGroupClause, cell), query->targetList);
    if (equal(group->expr, target->expr)) return foreach_current_index(cell);
  }
  return -1;
}

[[noreturn]] void refuse_key(const char* name) {
  ereport(ERROR, (errcode(ERRCODE_FEATURE_NOT_SUPPORTED), errmsg("column \"%s\" cannot be part of the key", name),
                  errdetail("It is not one of the columns that the query groups by."),
                  errhint("Name columns of GROUP BY; an expression can be one of them.")));
}

void require_all_groups(const Definition& definition, List* places) {
  ListCell* cell;
  foreach (cell, definition.grouped->groupClause) {
    if (list_member_int(places, foreach_current_index(cell))) continue;
    const TargetEntry* group =
        get_sortgroupclause_tle(lfirst_node(SortGroupClause, cell), definition.grouped->targetList);
    ereport(ERROR,
            (errcode(ERRCODE_INVALID_PARAMETER_VALUE), errmsg("the key is not unique in the query"),
             group->resname != nullptr && !group->resjunk
                 ? errdetail("Rows differ in \"%s\", by which the query groups.", group->resname)
                 : errdetail(
                       "Rows differ in an expression by which the query groups, and which is no column of its result."),
             errhint("Name every column of GROUP BY in the key.")));
  }
}

}  // namespace

List* document_key_places(const Definition& definition, List* names) {
  List* places = NIL;
  ListCell* cell;
  foreach (cell, names) {
    const char* name = strVal(lfirst(cell));
    const TargetEntry* target = find_output(definition.top, name);
    const int place = definition.grouped != nullptr ? group_of(definition, target) : target->resno - 1;
    if (place < 0) refuse_key(name);
    if (list_member_int(places, place))
      ereport(ERROR, (errcode(ERRCODE_DUPLICATE_COLUMN), errmsg("column \"%s\" of the key is named twice", name)));
    places = lappend_int(places, place);
  }
  if (definition.grouped != nullptr) require_all_groups(definition, places);
  return places;
}

}  // namespace anabranch
