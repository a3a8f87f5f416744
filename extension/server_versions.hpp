// What the servers from 15 on have under different names or with different parameters, in the newest one's form: the
// only place that asks for the version. Included by postgres.hpp, and by nothing else.
#pragma once

// PostgreSQL 15 does not mark what a library exports; under hidden visibility the magic block and the entry points must
// be.
#define ANABRANCH_EXPORTS_BEGIN _Pragma("GCC visibility push(default)")
#define ANABRANCH_EXPORTS_END _Pragma("GCC visibility pop")

// Tree walkers and mutators are declared without parameters before PostgreSQL 16.
#if PG_VERSION_NUM >= 160000
#define ANABRANCH_WALKER(function) reinterpret_cast<tree_walker_callback>(function)
#define ANABRANCH_MUTATOR(function) reinterpret_cast<tree_mutator_callback>(function)
#else
#define ANABRANCH_WALKER(function) reinterpret_cast<bool (*)()>(reinterpret_cast<void (*)()>(function))
#define ANABRANCH_MUTATOR(function) reinterpret_cast<Node* (*)()>(reinterpret_cast<void (*)()>(function))
#endif

// ---- before 16

#if PG_VERSION_NUM < 160000

inline bool object_ownercheck(Oid class_oid, Oid object, Oid role) {
  Assert(class_oid == RelationRelationId);
  return pg_class_ownercheck(object, role);
}

inline AclResult object_aclcheck(Oid class_oid, Oid object, Oid role, AclMode mode) {
  Assert(class_oid == ProcedureRelationId || class_oid == NamespaceRelationId);
  return class_oid == ProcedureRelationId ? pg_proc_aclcheck(object, role, mode)
                                          : pg_namespace_aclcheck(object, role, mode);
}

inline AttrMap* build_attrmap_by_name(TupleDesc from, TupleDesc to, bool missing_ok) {
  Assert(!missing_ok);
  return build_attrmap_by_name(from, to);
}

#endif

namespace anabranch {

// Fails where the user lacks a right that reading this level of a query needs.
inline void check_rights(Query* query) {
#if PG_VERSION_NUM >= 160000
  ExecCheckPermissions(query->rtable, query->rteperminfos, true);
#else
  ExecCheckRTPerms(query->rtable, true);
#endif
}

// ALTER TABLE ADD or DROP COLUMN. Before 16 one that goes on to the table's children has a name of its own.
inline bool adds_or_drops_column(AlterTableType type) {
#if PG_VERSION_NUM < 160000
  if (type == AT_AddColumnRecurse || type == AT_DropColumnRecurse) return true;
#endif
  return type == AT_AddColumn || type == AT_DropColumn;
}

// Tells the receiver how far decoding is while nothing is sent. From 16 on the server does so itself.
inline void tell_progress([[maybe_unused]] LogicalDecodingContext* decoding) {
#if PG_VERSION_NUM < 160000
  OutputPluginUpdateProgress(decoding, false);
#endif
}

}  // namespace anabranch

// ---- before 17

namespace anabranch {

// A row of a change. Before 17 a buffer of its own holds it.
inline HeapTuple tuple_of(HeapTuple tuple) {
  return tuple;
}

#if PG_VERSION_NUM < 170000
inline HeapTuple tuple_of(ReorderBufferTupleBuf* buffer) {
  return buffer == nullptr ? nullptr : &buffer->tuple;
}
#endif

}  // namespace anabranch

#if PG_VERSION_NUM < 170000
// A message outside of transactions; `flush`: on disk when this returns.
inline XLogRecPtr LogLogicalMessage(const char* prefix, const char* message, size_t size, bool transactional,
                                    bool flush) {
  const XLogRecPtr end = LogLogicalMessage(prefix, message, size, transactional);
  if (flush && !transactional) XLogFlush(end);
  return end;
}
#endif

// ---- before 18

#if PG_VERSION_NUM < 180000

inline Oid RelationGetPrimaryKeyIndex(Relation relation, bool deferrable_ok) {
  Assert(!deferrable_ok);
  return RelationGetPrimaryKeyIndex(relation);
}

struct IndexScanInstrumentation;

inline IndexScanDesc index_beginscan(Relation table, Relation index, Snapshot snapshot, IndexScanInstrumentation*,
                                     int key_count, int order_by_count) {
  return index_beginscan(table, index, snapshot, key_count, order_by_count);
}

#endif

namespace anabranch {

// From 18 on a publication has to name stored generated columns, or UPDATE and DELETE fail on a table that has one and
// writes whole old rows. Our decoder leaves them out all the same.
#if PG_VERSION_NUM >= 180000
constexpr const char* publication_options = "publish_via_partition_root = true, publish_generated_columns = stored";
inline bool publishes_generated(const Publication* publication) {
  return publication->pubgencols_type == PUBLISH_GENCOLS_STORED;
}
#else
constexpr const char* publication_options = "publish_via_partition_root = true";
inline bool publishes_generated(const Publication*) {
  return true;
}
#endif

// Has group columns stand as the expressions that they are. From 18 on they are columns of one more entry of the range
// table, the last one.
inline void flatten_groups([[maybe_unused]] Query* query) {
#if PG_VERSION_NUM >= 180000
  if (!query->hasGroupRTE) return;
  query->targetList =
      reinterpret_cast<List*>(flatten_group_exprs(nullptr, query, reinterpret_cast<Node*>(query->targetList)));
  query->havingQual = flatten_group_exprs(nullptr, query, query->havingQual);
  if (llast_node(RangeTblEntry, query->rtable)->rtekind != RTE_GROUP)
    elog(ERROR, "the groups are not the last entry of the range table");
  query->rtable = list_delete_last(query->rtable);
  query->hasGroupRTE = false;
#endif
}

}  // namespace anabranch
