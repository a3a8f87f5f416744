#include "extension/postgres.hpp"

#include "decoder/selection.hpp"

namespace anabranch {

namespace {

// How one publication publishes the relation.
struct Publishing {
  bool is_published = false;
  Oid as = InvalidOid;
  int level = 0;  // 0: the relation itself, else how many steps up
};

Publishing find_publishing(const Publication* publication, Oid relation, List* ancestors, List* direct,
                           List* by_schema) {
  Publishing result;
  result.as = relation;
  if (publication->alltables) {
    result.is_published = true;
    if (publication->pubviaroot && ancestors != NIL) {
      result.as = llast_oid(ancestors);
      result.level = list_length(ancestors);
    }
    return result;
  }
  result.is_published = list_member_oid(direct, publication->oid) || list_member_oid(by_schema, publication->oid);
  if (ancestors != NIL) {
    int level;
    Oid ancestor = GetTopMostAncestorInPublication(publication->oid, ancestors, &level);
    if (OidIsValid(ancestor)) {
      result.is_published = true;
      if (publication->pubviaroot) {
        result.as = ancestor;
        result.level = level;
      }
    }
  }
  return result;
}

// The column list and the row filter of one relation in one publication.
struct Terms {
  Bitmapset* columns = nullptr;
  Node* filter = nullptr;
};

Terms read_terms(const Publication* publication, Oid relation) {
  Terms terms;
  if (publication->alltables) return terms;
  HeapTuple tuple = SearchSysCache2(PUBLICATIONRELMAP, ObjectIdGetDatum(relation), ObjectIdGetDatum(publication->oid));
  if (!HeapTupleIsValid(tuple)) return terms;
  bool is_null;
  Datum columns = SysCacheGetAttr(PUBLICATIONRELMAP, tuple, Anum_pg_publication_rel_prattrs, &is_null);
  if (!is_null) {
    ArrayType* numbers = DatumGetArrayTypeP(columns);
    auto* elements = reinterpret_cast<int16*>(ARR_DATA_PTR(numbers));
    for (int i = 0; i < ARR_DIMS(numbers)[0]; ++i) terms.columns = bms_add_member(terms.columns, elements[i]);
  }
  // A schema of the publication that holds the relation has no filter, and no filter wins.
  bool in_schema = SearchSysCacheExists2(PUBLICATIONNAMESPACEMAP, ObjectIdGetDatum(get_rel_namespace(relation)),
                                         ObjectIdGetDatum(publication->oid));
  Datum filter = SysCacheGetAttr(PUBLICATIONRELMAP, tuple, Anum_pg_publication_rel_prqual, &is_null);
  if (!is_null && !in_schema) terms.filter = static_cast<Node*>(stringToNode(TextDatumGetCString(filter)));
  ReleaseSysCache(tuple);
  return terms;
}

// The filters of one operation over all publications that publish it.
struct FilterSum {
  List* filters = NIL;
  bool every_row = false;

  void add(bool publishes, Node* filter) {
    if (!publishes) return;
    if (filter)
      filters = lappend(filters, filter);
    else
      every_row = true;
  }
  Node* result() const {
    if (every_row || filters == NIL) return nullptr;
    if (list_length(filters) == 1) return static_cast<Node*>(linitial(filters));
    return reinterpret_cast<Node*>(make_orclause(filters));
  }
};

}  // namespace

Selection select_relation(List* publications, Oid relation) {
  Selection selection;
  selection.published_as = relation;
  List* direct = GetRelationPublications(relation);
  List* by_schema = GetSchemaPublications(get_rel_namespace(relation));
  List* ancestors = get_rel_relispartition(relation) ? get_partition_ancestors(relation) : NIL;
  bool is_partitioned = get_rel_relkind(relation) == RELKIND_PARTITIONED_TABLE;

  int level = 0;
  List* publishing = NIL;  // the publications that publish it at that level
  ListCell* cell;
  foreach (cell, publications) {
    Publication* publication = GetPublicationByName(static_cast<char*>(lfirst(cell)), true);
    if (publication == nullptr) continue;
    Publishing one = find_publishing(publication, relation, ancestors, direct, by_schema);
    // A partitioned table has no rows of its own: its partitions are published instead, unless under its name.
    if (!one.is_published || (is_partitioned && !publication->pubviaroot)) continue;
    selection.inserts |= publication->pubactions.pubinsert;
    selection.updates |= publication->pubactions.pubupdate;
    selection.deletes |= publication->pubactions.pubdelete;
    selection.truncates |= publication->pubactions.pubtruncate;
    if (one.level < level) continue;
    if (one.level > level) {
      level = one.level;
      selection.published_as = one.as;
      publishing = NIL;
    }
    publishing = lappend(publishing, publication);
  }

  FilterSum inserts, updates, deletes;
  bool every_column = publishing == NIL;
  foreach (cell, publishing) {
    auto* publication = static_cast<Publication*>(lfirst(cell));
    Terms terms = read_terms(publication, selection.published_as);
    every_column |= terms.columns == nullptr;
    selection.columns = bms_add_members(selection.columns, terms.columns);
    inserts.add(publication->pubactions.pubinsert, terms.filter);
    updates.add(publication->pubactions.pubupdate, terms.filter);
    deletes.add(publication->pubactions.pubdelete, terms.filter);
  }
  if (every_column) selection.columns = nullptr;
  selection.insert_filter = inserts.result();
  selection.update_filter = updates.result();
  selection.delete_filter = deletes.result();
  return selection;
}

}  // namespace anabranch
