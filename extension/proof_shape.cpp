#include "extension/proof_shape.hpp"

extern "C" {
#include <catalog/pg_operator.h>
#include <utils/typcache.h>
}

#include "extension/rewrite.hpp"
#include "extension/text.hpp"

namespace anabranch {

TupleDesc state_columns(Oid state) {
  Relation relation = table_open(state, AccessShareLock);
  TupleDesc columns = CreateTupleDescCopy(RelationGetDescr(relation));
  table_close(relation, NoLock);
  return columns;
}

Shape shape_of(const Copy* copy) {
  Shape shape;
  shape.state = state_columns(copy->state);
  for (int i = 0; i < shape.state->natts; i++) {
    const char* name = NameStr(TupleDescAttr(shape.state, i)->attname);
    if (copy->rows_class && strcmp(name, key_column) == 0) {
      shape.key_first = i;
      shape.key_count = 1;
    }
    if (strcmp(name, rows_column) != 0) continue;
    if (copy->rows_class)
      shape.counted = true;
    else
      shape.key_count = i;
  }
  shape.keyed = copy->rows_class && !shape.counted;
  return shape;
}

bool is_key(const Shape& shape, int column) {
  return column >= shape.key_first && column < shape.key_first + shape.key_count;
}

const char* numbered(const char* prefix, int count) {
  Text text;
  for (int i = 1; i <= count; i++) add(text, ", ", "%s%d", prefix, i);
  return text.c_str();
}

bool is_one_of(Oid type, std::initializer_list<Oid> types) {
  for (const Oid each : types)
    if (type == each) return true;
  return false;
}

// By its text: not every type that has an order can be hashed.
const char* key_record(const Shape& shape) {
  Text key;
  for (int i = 0; i < shape.state->natts; i++)
    if (is_key(shape, i)) add(key, ", ", "c%d::text COLLATE \"C\"", i + 1);
  return psprintf("ROW(%s)::record", key.c_str());
}

const char* bucket_of(const Shape& shape, int buckets) {
  return psprintf("(hash_record_extended(%s, 0) & %d)", key_record(shape), buckets - 1);
}

const char* equality(Oid type) {
  const Oid operation = lookup_type_cache(type, TYPECACHE_EQ_OPR)->eq_opr;
  if (!OidIsValid(operation)) return nullptr;
  HeapTuple tuple = SearchSysCache1(OPEROID, ObjectIdGetDatum(operation));
  auto* form = reinterpret_cast<Form_pg_operator>(GETSTRUCT(tuple));
  const char* name =
      psprintf("OPERATOR(%s.%s)", quote_identifier(get_namespace_name(form->oprnamespace)), NameStr(form->oprname));
  ReleaseSysCache(tuple);
  return name;
}

}  // namespace anabranch
