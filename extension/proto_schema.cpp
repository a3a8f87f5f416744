// anabranch.proto_schema(): a table's .proto, for those who read its topic with protobuf.
//
// Reads what pg_attribute shows to everybody, and the table's generation.
#include "extension/postgres.hpp"

extern "C" {
#include <access/relation.h>
#include <access/sysattr.h>
#include <catalog/pg_class.h>
#include <utils/fmgroids.h>
}

#include "decoder/table_proto.hpp"
#include "decoder/value.hpp"

namespace anabranch {
namespace {

uint32_t generation_of(Oid relation) {
  Relation table = table_open(get_relname_relid("generation", get_namespace_oid("anabranch", false)), AccessShareLock);
  ScanKeyData key;
  ScanKeyInit(&key, 1, BTEqualStrategyNumber, F_OIDEQ, ObjectIdGetDatum(relation));
  SysScanDesc scan =
      systable_beginscan(table, RelationGetPrimaryKeyIndex(table, false), true, GetActiveSnapshot(), 1, &key);
  HeapTuple tuple = systable_getnext(scan);
  bool is_null = true;
  Datum value = HeapTupleIsValid(tuple) ? heap_getattr(tuple, 2, RelationGetDescr(table), &is_null) : Datum{0};
  const int32 generation = is_null ? 0 : DatumGetInt32(value);
  systable_endscan(scan);
  table_close(table, AccessShareLock);
  return generation > 0 ? static_cast<uint32_t>(generation) : 0;
}

const char* to_utf8(const char* text) {
  return pg_server_to_any(text, static_cast<int>(strlen(text)), PG_UTF8);
}

void describe_type(Oid oid, table_proto::Column* column) {
  HeapTuple tuple = SearchSysCache1(TYPEOID, ObjectIdGetDatum(oid));
  if (!HeapTupleIsValid(tuple)) return;
  auto* type = reinterpret_cast<Form_pg_type>(GETSTRUCT(tuple));
  column->type_name = to_utf8(pstrdup(NameStr(type->typname)));
  const char* schema = get_namespace_name(type->typnamespace);
  column->type_schema = schema ? to_utf8(schema) : "";
  ReleaseSysCache(tuple);
}

// What the publisher makes a record's key of: the primary key, otherwise the index of the replica identity.
Bitmapset* key_of(Relation relation) {
  Bitmapset* key = RelationGetIndexAttrBitmap(relation, INDEX_ATTR_BITMAP_PRIMARY_KEY);
  if (!bms_is_empty(key)) return key;
  return RelationGetIndexAttrBitmap(relation, INDEX_ATTR_BITMAP_IDENTITY_KEY);
}

text* write_schema(Relation relation) {
  TupleDesc shape = RelationGetDescr(relation);
  Bitmapset* key = key_of(relation);
  table_proto::Table table;
  auto* columns = static_cast<table_proto::Column*>(palloc0(sizeof(table_proto::Column) * Max(shape->natts, 1)));
  for (int i = 0; i < shape->natts; ++i) {
    Form_pg_attribute attribute = TupleDescAttr(shape, i);
    if (attribute->attisdropped || attribute->attgenerated) continue;
    table_proto::Column* column = &columns[table.column_count++];
    *column = table_proto::Column{};
    column->number = static_cast<uint32_t>(attribute->attnum);
    column->name = to_utf8(pstrdup(NameStr(attribute->attname)));
    Oid base;
    column->encoding = classify_type(attribute->atttypid, &base);
    column->type_modifier = attribute->atttypmod;
    column->in_key = bms_is_member(attribute->attnum - FirstLowInvalidHeapAttributeNumber, key);
    describe_type(attribute->atttypid, column);
  }
  table.columns = columns;
  table.number_max = static_cast<uint32_t>(shape->natts);
  table.schema = to_utf8(get_namespace_name(RelationGetNamespace(relation)));
  table.name = to_utf8(pstrdup(RelationGetRelationName(relation)));
  table.generation = generation_of(RelationGetRelid(relation));

  StringInfoData file;
  initStringInfo(&file);
  auto append = [&file](std::string_view piece) {
    appendBinaryStringInfo(&file, piece.data(), static_cast<int>(piece.size()));
  };
  table_proto::File<decltype(append)>(table, append).write_all();
  return cstring_to_text(pg_any_to_server(file.data, file.len, PG_UTF8));
}

}  // namespace
}  // namespace anabranch

ANABRANCH_EXPORTS_BEGIN
extern "C" {
PG_FUNCTION_INFO_V1(anabranch_proto_schema);
}
ANABRANCH_EXPORTS_END

extern "C" Datum anabranch_proto_schema(PG_FUNCTION_ARGS) {
  Relation relation = relation_open(PG_GETARG_OID(0), AccessShareLock);
  const char kind = relation->rd_rel->relkind;
  if (kind != RELKIND_RELATION && kind != RELKIND_PARTITIONED_TABLE)
    ereport(ERROR,
            (errcode(ERRCODE_WRONG_OBJECT_TYPE), errmsg("\"%s\" is not a table", RelationGetRelationName(relation))));
  text* schema = anabranch::write_schema(relation);
  relation_close(relation, AccessShareLock);
  PG_RETURN_TEXT_P(schema);
}
