#include "extension/postgres.hpp"

#include "decoder/description.hpp"

#include "decoder/guard.hpp"
#include "decoder/record.hpp"

namespace anabranch {

namespace {

ReplicaIdentity identity_of(char replica_identity) {
  switch (replica_identity) {
    case REPLICA_IDENTITY_INDEX:
      return ReplicaIdentity::index;
    case REPLICA_IDENTITY_FULL:
      return ReplicaIdentity::full;
    case REPLICA_IDENTITY_NOTHING:
      return ReplicaIdentity::nothing;
    default:
      return ReplicaIdentity::by_default;
  }
}

std::string_view name_of_schema(Oid schema) {
  const char* name = get_namespace_name(schema);
  return name ? readable_utf8(name) : "";
}

void name_type(Oid type, record::Column* column) {
  HeapTuple tuple = SearchSysCache1(TYPEOID, ObjectIdGetDatum(type));
  if (!HeapTupleIsValid(tuple)) return;
  auto* row = reinterpret_cast<Form_pg_type>(GETSTRUCT(tuple));
  column->type_name = readable_utf8(pstrdup(NameStr(row->typname)));
  column->type_schema = name_of_schema(row->typnamespace);
  ReleaseSysCache(tuple);
}

bool is_generation_table(Relation table) {
  TupleDesc shape = RelationGetDescr(table);
  return table->rd_rel->relkind == RELKIND_RELATION && RelationIsUsedAsCatalogTable(table) && shape->natts >= 2 &&
         TupleDescAttr(shape, 0)->atttypid == OIDOID && TupleDescAttr(shape, 1)->atttypid == INT4OID;
}

}  // namespace

std::string_view describe_relation(Relation root, char replica_identity, const Column* columns, int column_count) {
  auto* described = static_cast<record::Column*>(palloc0(sizeof(record::Column) * Max(column_count, 1)));
  for (int i = 0; i < column_count; ++i) {
    Form_pg_attribute attribute = TupleDescAttr(RelationGetDescr(root), columns[i].number - 1);
    record::Column* column = &described[i];
    *column = record::Column{};
    column->number = columns[i].number;
    column->name = readable_utf8(pstrdup(NameStr(attribute->attname)));
    column->type_oid = attribute->atttypid;
    name_type(attribute->atttypid, column);
    column->type_modifier = attribute->atttypmod;
    column->encoding = columns[i].type.encoding;
    column->in_identity = columns[i].in_identity;
    column->in_primary_key = columns[i].in_primary_key;
  }
  record::Relation relation;
  relation.oid = RelationGetRelid(root);
  relation.generation = read_generation(relation.oid);
  relation.schema = name_of_schema(RelationGetNamespace(root));
  relation.name = readable_utf8(pstrdup(RelationGetRelationName(root)));
  relation.replica_identity = identity_of(replica_identity);
  relation.columns = {described, static_cast<size_t>(column_count)};

  size_t size = record::size_of(relation);
  auto* bytes = static_cast<char*>(palloc(Max(size, size_t{1})));
  wire::Writer writer(bytes);
  record::write(writer, relation);
  return std::string_view(bytes, size);
}

uint32_t read_generation(Oid relation) {
  Oid schema = get_namespace_oid("anabranch", true);
  if (!OidIsValid(schema)) return 0;
  Oid oid = get_relname_relid("generation", schema);
  if (!OidIsValid(oid)) return 0;
  Relation table = RelationIdGetRelation(oid);  // no lock: like every table that is read while decoding
  if (table == nullptr) return 0;
  int32 generation = 0;
  if (is_generation_table(table)) {
    Oid index = RelationGetPrimaryKeyIndex(table, false);
    ScanKeyData key;
    ScanKeyInit(&key, 1, BTEqualStrategyNumber, F_OIDEQ, ObjectIdGetDatum(relation));
    SysScanDesc scan = systable_beginscan(table, index, OidIsValid(index), nullptr, 1, &key);
    HeapTuple tuple = systable_getnext(scan);
    bool is_null = true;
    Datum value = HeapTupleIsValid(tuple) ? heap_getattr(tuple, 2, RelationGetDescr(table), &is_null) : Datum{0};
    if (!is_null) generation = DatumGetInt32(value);
    systable_endscan(scan);
  }
  RelationClose(table);
  return generation > 0 ? static_cast<uint32_t>(generation) : 0;
}

}  // namespace anabranch
