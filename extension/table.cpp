#include "extension/table.hpp"

extern "C" {
#include <access/attmap.h>
#include <access/sysattr.h>
#include <catalog/catalog.h>
#include <catalog/pg_inherits.h>
#include <storage/lmgr.h>
#include <utils/acl.h>
#include <utils/rls.h>
#include <utils/typcache.h>
}

#include "decoder/value.hpp"
#include "extension/retry.hpp"
#include "extension/rewrite.hpp"

namespace anabranch {
namespace {

#define REFUSE_TABLE(relation, message, ...)              \
  ereport(ERROR, (errcode(ERRCODE_FEATURE_NOT_SUPPORTED), \
                  errmsg("table %s cannot be a source: " message, table_name(relation)), ##__VA_ARGS__))

void check_persistence(Oid relation) {
  switch (get_rel_persistence(relation)) {
    case RELPERSISTENCE_TEMP:
      REFUSE_TABLE(relation, "it is temporary", errdetail("Changes of temporary tables are not written to the WAL."));
      break;
    case RELPERSISTENCE_UNLOGGED:
      REFUSE_TABLE(relation, "it is unlogged", errdetail("Changes of unlogged tables are not written to the WAL."),
                   errhint("Run ALTER TABLE %s SET LOGGED, which writes the whole table to the WAL once.",
                           table_name(relation)));
  }
}

bool is_ours(Oid schema) {
  return schema == get_namespace_oid("anabranch", false) || schema == get_namespace_oid("anabranch_data", false);
}

// Attribute numbers from a relcache bitmap.
Bitmapset* plain_numbers(Bitmapset* offset) {
  Bitmapset* numbers = nullptr;
  int member = -1;
  while ((member = bms_next_member(offset, member)) >= 0)
    numbers = bms_add_member(numbers, member + FirstLowInvalidHeapAttributeNumber);
  return numbers;
}

Bitmapset* index_columns(Oid index) {
  if (!OidIsValid(index)) return nullptr;
  HeapTuple tuple = SearchSysCache1(INDEXRELID, ObjectIdGetDatum(index));
  if (!HeapTupleIsValid(tuple)) elog(ERROR, "cache lookup failed for index %u", index);
  auto* form = reinterpret_cast<Form_pg_index>(GETSTRUCT(tuple));
  Bitmapset* columns = nullptr;
  for (int i = 0; i < form->indnkeyatts; i++) columns = bms_add_member(columns, form->indkey.values[i]);
  ReleaseSysCache(tuple);
  return columns;
}

// What old rows of a table hold, in the attribute numbers of its partitioning root.
struct Identity {
  bool full;           // every column
  Bitmapset* columns;  // of the replica identity, or of the primary key where every column is
};

Identity identity_of(Oid table, Oid root) {
  Relation relation = table_open(table, AccessShareLock);
  const char kind = relation->rd_rel->relreplident;
  Identity identity{kind == REPLICA_IDENTITY_FULL, nullptr};
  if (identity.full)
    identity.columns = index_columns(RelationGetPrimaryKeyIndex(relation, false));
  else if (kind != REPLICA_IDENTITY_NOTHING)
    identity.columns = plain_numbers(RelationGetIndexAttrBitmap(relation, INDEX_ATTR_BITMAP_IDENTITY_KEY));
  if (table != root) {
    Relation parent = table_open(root, AccessShareLock);
    AttrMap* map = build_attrmap_by_name(RelationGetDescr(parent), RelationGetDescr(relation), false);
    Bitmapset* mapped = nullptr;
    for (int i = 0; i < map->maplen; i++)
      if (bms_is_member(i + 1, identity.columns)) mapped = bms_add_member(mapped, map->attnums[i]);
    identity.columns = mapped;
    table_close(parent, NoLock);
  }
  table_close(relation, NoLock);
  return identity;
}

Bitmapset* primary_key(Oid table) {
  Relation relation = table_open(table, AccessShareLock);
  Bitmapset* columns = index_columns(RelationGetPrimaryKeyIndex(relation, false));
  table_close(relation, NoLock);
  return columns;
}

// A value kept out of line is not sent again when it did not change, and only a full old row brings it then.
bool may_be_out_of_line(Oid relation, Bitmapset* columns) {
  int number = -1;
  while ((number = bms_next_member(columns, number)) >= 0) {
    HeapTuple tuple = SearchSysCache2(ATTNUM, ObjectIdGetDatum(relation), Int16GetDatum(static_cast<int16>(number)));
    if (!HeapTupleIsValid(tuple)) elog(ERROR, "cache lookup failed for column %d of relation %u", number, relation);
    auto* form = reinterpret_cast<Form_pg_attribute>(GETSTRUCT(tuple));
    const bool plain = form->attlen != -1 || form->attstorage == TYPSTORAGE_PLAIN;
    ReleaseSysCache(tuple);
    if (!plain) return true;
  }
  return false;
}

List* to_list(Bitmapset* numbers) {
  List* list = NIL;
  int number = -1;
  while ((number = bms_next_member(numbers, number)) >= 0) list = lappend_int(list, number);
  return list;
}

const char* column_names(Oid relation, Bitmapset* numbers) {
  StringInfoData names;
  initStringInfo(&names);
  int number = -1;
  while ((number = bms_next_member(numbers, number)) >= 0)
    appendStringInfo(&names, "%s\"%s\"", names.len > 0 ? ", " : "",
                     get_attname(relation, static_cast<AttrNumber>(number), false));
  return names.data;
}

void set_full_identity(Oid table) {
  if (!object_ownercheck(RelationRelationId, table, GetUserId()))
    aclcheck_error(ACLCHECK_NOT_OWNER, OBJECT_TABLE, get_rel_name(table));
  execute_with_retries(psprintf("ALTER TABLE ONLY %s REPLICA IDENTITY FULL", table_name(table)), table);
}

[[noreturn]] void refuse_identity(Oid table, const Identity& identity, Bitmapset* missing) {
  const char* command = psprintf("ALTER TABLE ONLY %s REPLICA IDENTITY FULL", table_name(table));
  const char* detail = identity.columns == nullptr
                           ? "It has no key that the stream could tell rows by, and once it is published UPDATE and "
                             "DELETE on it would fail."
                           : psprintf("Old values of these columns are needed and not in the stream: %s.",
                                      missing == nullptr ? "" : column_names(table, missing));
  ereport(ERROR,
          (errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
           errmsg("the replica identity of table %s does not suffice", table_name(table)), errdetail("%s", detail),
           errhint("Run %s; every UPDATE and DELETE on it then writes the whole old row to the WAL%s. "
                   "prepare_sources => true does it.",
                   command, identity.columns == nullptr ? ". Or add a primary key" : "")));
  pg_unreachable();
}

}  // namespace

const char* table_name(Oid relation) {
  return quote_qualified_identifier(get_namespace_name(get_rel_namespace(relation)), get_rel_name(relation));
}

List* leaf_tables(Oid relation) {
  if (get_rel_relkind(relation) != RELKIND_PARTITIONED_TABLE) return list_make1_oid(relation);
  List* leaves = NIL;
  ListCell* cell;
  foreach (cell, find_all_inheritors(relation, AccessShareLock, nullptr))
    if (get_rel_relkind(lfirst_oid(cell)) != RELKIND_PARTITIONED_TABLE) leaves = lappend_oid(leaves, lfirst_oid(cell));
  return leaves;
}

void check_table(Oid relation, bool with_children) {
  const Oid schema = get_rel_namespace(relation);
  const char kind = get_rel_relkind(relation);
  if (IsCatalogRelationOid(relation) || IsCatalogNamespace(schema) || IsToastNamespace(schema))
    REFUSE_TABLE(relation, "it is a system table", errdetail("Changes of system tables are not published."));
  if (is_ours(schema))
    REFUSE_TABLE(relation, "it belongs to anabranch",
                 errhint("Define the new copy over the tables that the other is made of."));
  if (kind != RELKIND_RELATION && kind != RELKIND_PARTITIONED_TABLE)
    REFUSE_TABLE(relation, "it is a foreign table or a materialized view",
                 errdetail("Only changes of ordinary and partitioned tables are published."));
  if (check_enable_rls(relation, InvalidOid, true) == RLS_ENABLED)
    ereport(ERROR, (errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
                    errmsg("row-level security of table %s applies to role %s", table_name(relation),
                           quote_identifier(GetUserNameFromId(GetUserId(), false))),
                    errdetail("A copy is made of every row of its sources."),
                    errhint("Create it as the table's owner or as a role with BYPASSRLS.")));
  if (kind == RELKIND_PARTITIONED_TABLE && !with_children)
    REFUSE_TABLE(relation, "ONLY of a partitioned table has no rows", errhint("Leave out ONLY."));
  if (kind == RELKIND_RELATION && with_children && find_inheritance_children(relation, NoLock) != NIL)
    REFUSE_TABLE(relation, "other tables inherit from it",
                 errhint("Select from ONLY %s, and from each child in a branch of UNION ALL.", table_name(relation)));
  ListCell* cell;
  foreach (cell, leaf_tables(relation)) {
    const Oid leaf = lfirst_oid(cell);
    if (get_rel_relkind(leaf) != RELKIND_RELATION)
      REFUSE_TABLE(relation, "it has a foreign table as a partition",
                   errdetail("The partition is %s.", table_name(leaf)));
    check_persistence(leaf);
  }
}

namespace {

// Whether the text of a value names objects of the database, which may be others when it is read. Of a plain regclass
// the stream has the number; inside an array or a row there is only text.
bool prints_names(Oid type, bool inside) {
  check_stack_depth();
  Oid base;
  const Encoding encoding = classify_type(type, &base);
  if (base == ACLITEMOID || (inside && encoding == Encoding::oid && base != OIDOID)) return true;
  if (get_element_type(base) != InvalidOid) return prints_names(get_element_type(base), true);
  if (type_is_multirange(base)) return prints_names(get_multirange_range(base), true);
  if (type_is_range(base)) return prints_names(get_range_subtype(base), true);
  if (!type_is_rowtype(base) || base == RECORDOID) return false;
  TupleDesc row = lookup_rowtype_tupdesc_copy(base, -1);
  for (int i = 0; i < row->natts; i++) {
    const Form_pg_attribute attribute = TupleDescAttr(row, i);
    if (!attribute->attisdropped && prints_names(attribute->atttypid, true)) return true;
  }
  return false;
}

}  // namespace

void check_columns(const Source* source) {
  const Oid table = source->relation;
  const Oid user = GetUserId();
  const bool whole_table = pg_class_aclcheck(table, user, ACL_SELECT) == ACLCHECK_OK;
  if (source->columns == NIL && !whole_table &&
      pg_attribute_aclcheck_all(table, user, ACL_SELECT, ACLMASK_ANY) != ACLCHECK_OK)
    aclcheck_error(ACLCHECK_NO_PRIV, OBJECT_TABLE, get_rel_name(table));
  ListCell* cell;
  foreach (cell, source->columns) {
    const auto column = static_cast<AttrNumber>(lfirst_int(cell));
    const char* name = get_attname(table, column, false);
    if (!whole_table && pg_attribute_aclcheck(table, column, user, ACL_SELECT) != ACLCHECK_OK)
      aclcheck_error_col(ACLCHECK_NO_PRIV, OBJECT_COLUMN, get_rel_name(table), name);
    if (strcmp(name, key_column) == 0 || strcmp(name, weight_column) == 0)
      ereport(ERROR, (errcode(ERRCODE_RESERVED_NAME),
                      errmsg("column \"%s\" of table %s has a name that anabranch uses", name, table_name(table))));
    if (prints_names(get_atttype(table, column), false))
      ereport(ERROR,
              (errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
               errmsg("column \"%s\" of table %s cannot be kept: values of type %s name objects of the database", name,
                      table_name(table), format_type_be(get_atttype(table, column))),
               errdetail("In the stream they are text, which means something else when an object gets another name."),
               errhint("Store the numbers, as oid, or the names, as text.")));
    if (get_attgenerated(table, column) != '\0')
      ereport(ERROR,
              (errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
               errmsg("generated column \"%s\" of table %s is not in the stream of changes", name, table_name(table)),
               errhint("Write its expression in the definition.")));
  }
}

void identify_rows(Source* source, RowIdentity wanted, bool prepare) {
  const Oid root = source->relation;
  List* leaves = leaf_tables(root);
  // A key is one of all partitions: the table's own, when there are none.
  Bitmapset* key = nullptr;
  bool key_of_all = true;
  ListCell* cell;
  foreach (cell, leaves) {
    const Identity identity = identity_of(lfirst_oid(cell), root);
    if (foreach_current_index(cell) == 0) key = identity.columns;
    key_of_all = key_of_all && bms_equal(key, identity.columns);
  }
  if (!key_of_all || wanted == RowIdentity::image_only) key = nullptr;
  // Equal identities of partitions make no key of the whole; only a key of the root is unique over all.
  if (get_rel_relkind(root) == RELKIND_PARTITIONED_TABLE && !bms_equal(key, primary_key(root))) key = nullptr;

  Bitmapset* columns = bms_union(source->referenced, key);
  Bitmapset* rest = bms_difference(columns, key);
  source->needs_full_rows =
      key == nullptr || (wanted == RowIdentity::key ? may_be_out_of_line(root, rest) : !bms_is_empty(rest));
  foreach (cell, leaves) {
    const Oid leaf = lfirst_oid(cell);
    const Identity identity = identity_of(leaf, root);
    if (identity.full || !source->needs_full_rows) continue;
    if (!prepare) refuse_identity(leaf, identity, bms_difference(columns, identity.columns));
    set_full_identity(leaf);
  }
  source->columns = to_list(columns);
  source->named = to_list(source->referenced);
  source->key = to_list(key);
}

}  // namespace anabranch
