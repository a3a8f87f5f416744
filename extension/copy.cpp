#include "extension/copy.hpp"

extern "C" {
#include <catalog/pg_class.h>
#include <utils/array.h>
#include <utils/hsearch.h>
#include <utils/inval.h>
#include <utils/syscache.h>
}

#include "extension/error_codes.hpp"

namespace anabranch {
namespace {

struct Entry {
  Oid oid;  // key
  Copy* copy;
};

HTAB* copies;

// May come at any moment, also in the midst of using a copy: so it only marks.
void forget_relation(Datum, Oid relation) {
  HASH_SEQ_STATUS scan;
  hash_seq_init(&scan, copies);
  while (auto* entry = static_cast<Entry*>(hash_seq_search(&scan))) {
    Copy* copy = entry->copy;
    if (relation == InvalidOid || relation == copy->oid || relation == copy->state) copy->valid = false;
  }
}

void open_cache() {
  if (copies != nullptr) return;
  HASHCTL control = {};
  control.keysize = sizeof(Oid);
  control.entrysize = sizeof(Entry);
  control.hcxt = CacheMemoryContext;
  copies = hash_create("anabranch copies", 16, &control, HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
  CacheRegisterRelcacheCallback(forget_relation, 0);
}

Oid relation_owner(Oid relation) {
  HeapTuple tuple = SearchSysCache1(RELOID, ObjectIdGetDatum(relation));
  if (!HeapTupleIsValid(tuple))
    ereport(ERROR, (errcode(kStale), errmsg("relation with OID %u of a copy is gone", relation)));
  const Oid owner = reinterpret_cast<Form_pg_class>(GETSTRUCT(tuple))->relowner;
  ReleaseSysCache(tuple);
  return owner;
}

Datum column_of(const char* name, int row, bool* is_null) {
  return SPI_getbinval(SPI_tuptable->vals[row], SPI_tuptable->tupdesc, SPI_fnumber(SPI_tuptable->tupdesc, name),
                       is_null);
}

Datum column_of(const char* name, int row) {
  bool is_null;
  const Datum value = column_of(name, row, &is_null);
  if (is_null) elog(ERROR, "column \"%s\" of a definition is null", name);
  return value;
}

struct Numbers {
  int16* values;
  int count;
};

Numbers int2_array(Datum datum) {
  ArrayType* array = DatumGetArrayTypeP(datum);
  Datum* elements;
  Numbers numbers = {nullptr, 0};
  deconstruct_array(array, INT2OID, sizeof(int16), true, TYPALIGN_SHORT, &elements, nullptr, &numbers.count);
  numbers.values = static_cast<int16*>(palloc(sizeof(int16) * (numbers.count + 1)));
  for (int i = 0; i < numbers.count; i++) numbers.values[i] = DatumGetInt16(elements[i]);
  return numbers;
}

// Row `row` of definition_source. The current memory context is the copy's.
void describe_source(Copy* copy, CopySource* source, int row) {
  source->ordinal = DatumGetInt32(column_of("ordinal", row));
  source->relation = DatumGetObjectId(column_of("relation", row));
  snprintf(source->delta_name, sizeof(source->delta_name), "delta_%d", source->ordinal);

  const Numbers columns = int2_array(column_of("columns", row));
  const Numbers key = int2_array(column_of("key", row));
  source->column_count = columns.count;
  source->numbers = static_cast<AttrNumber*>(palloc(sizeof(AttrNumber) * (columns.count + 1)));
  source->types = static_cast<ValueType*>(palloc0(sizeof(ValueType) * (columns.count + 1)));
  source->number_max = columns.count == 0 ? 0 : columns.values[columns.count - 1];
  source->place_of = static_cast<int*>(palloc(sizeof(int) * (source->number_max + 1)));
  for (int i = 0; i <= source->number_max; i++) source->place_of[i] = -1;
  source->key_count = key.count;
  source->key = static_cast<int*>(palloc(sizeof(int) * (key.count + 1)));

  Relation shadow = table_open(DatumGetObjectId(column_of("shadow", row)), AccessShareLock);
  TupleDesc description = RelationGetDescr(shadow);
  source->delta = CreateTemplateTupleDesc(columns.count + (copy->rows_class ? 2 : 1));
  for (int i = 0; i < columns.count; i++) {
    const AttrNumber number = columns.values[i];
    if (number < 1 || number > description->natts || TupleDescAttr(description, number - 1)->attisdropped)
      ereport(ERROR, (errcode(kStale), errmsg("column %d of a source of copy %u is gone", number, copy->oid)));
    source->numbers[i] = number;
    source->place_of[number] = i;
    source->types[i] = describe_value(TupleDescAttr(description, number - 1)->atttypid, copy->context);
    TupleDescCopyEntry(source->delta, static_cast<AttrNumber>(i + 1), description, number);
  }
  int next = columns.count + 1;
  if (copy->rows_class) TupleDescInitEntry(source->delta, next++, "anabranch_key", BYTEAOID, -1, 0);
  TupleDescInitEntry(source->delta, next, "anabranch_w", INT4OID, -1, 0);
  table_close(shadow, AccessShareLock);

  for (int i = 0; i < key.count; i++) {
    const int number = key.values[i];
    if (number < 1 || number > source->number_max || source->place_of[number] < 0)
      elog(ERROR, "key column %d of source %d of copy %u is not one of its columns", number, source->ordinal,
           copy->oid);
    source->key[i] = source->place_of[number];
  }
}

Copy* read_definition(Oid oid) {
  Oid types[1] = {OIDOID};
  Datum values[1] = {ObjectIdGetDatum(oid)};
  if (SPI_execute_with_args("SELECT state::oid AS state, class, fold, merge, shown_view FROM anabranch.definition "
                            "WHERE copy = $1",
                            1, types, values, nullptr, true, 1) != SPI_OK_SELECT)
    elog(ERROR, "could not read a definition");
  if (SPI_processed == 0)
    ereport(ERROR, (errcode(kStale), errmsg("there is no copy with OID %u", oid),
                    errhint("It was dropped; anabranch.copies lists those that exist.")));

  MemoryContext context = AllocSetContextCreate(CacheMemoryContext, "anabranch copy", ALLOCSET_SMALL_SIZES);
  MemoryContext caller = MemoryContextSwitchTo(context);
  auto* copy = static_cast<Copy*>(palloc0(sizeof(Copy)));
  copy->context = context;
  copy->oid = oid;
  copy->valid = true;
  copy->state = DatumGetObjectId(column_of("state", 0));
  copy->rows_class = strcmp(TextDatumGetCString(column_of("class", 0)), "rows") == 0;
  copy->fold_text = TextDatumGetCString(column_of("fold", 0));
  copy->merge_text = TextDatumGetCString(column_of("merge", 0));
  copy->shown_view = TextDatumGetCString(column_of("shown_view", 0));
  copy->owner = relation_owner(oid);
  copy->state_owner = relation_owner(copy->state);
  MemoryContextSwitchTo(caller);

  if (SPI_execute_with_args("SELECT ordinal, relation::oid AS relation, shadow::oid AS shadow, columns, key "
                            "FROM anabranch.definition_source WHERE copy = $1 ORDER BY ordinal",
                            1, types, values, nullptr, true, 0) != SPI_OK_SELECT)
    elog(ERROR, "could not read a definition's sources");
  MemoryContextSwitchTo(context);
  copy->source_count = static_cast<int>(SPI_processed);
  copy->sources = static_cast<CopySource*>(palloc0(sizeof(CopySource) * (copy->source_count + 1)));
  for (int i = 0; i < copy->source_count; i++) {
    describe_source(copy, &copy->sources[i], i);
    if (copy->sources[i].ordinal != i + 1) elog(ERROR, "the sources of copy %u are not numbered from 1", oid);
  }
  MemoryContextSwitchTo(caller);
  return copy;
}

void free_copy(Copy* copy) {
  if (copy->fold != nullptr) SPI_freeplan(copy->fold);
  if (copy->merge != nullptr) SPI_freeplan(copy->merge);
  MemoryContextDelete(copy->context);
}

}  // namespace

Copy* load_copy(Oid oid) {
  open_cache();
  AcceptInvalidationMessages();
  auto* entry = static_cast<Entry*>(hash_search(copies, &oid, HASH_FIND, nullptr));
  if (entry != nullptr && entry->copy->valid) return entry->copy;
  if (entry != nullptr) {
    Copy* old = entry->copy;
    hash_search(copies, &oid, HASH_REMOVE, nullptr);
    free_copy(old);
  }
  Copy* copy = read_definition(oid);
  entry = static_cast<Entry*>(hash_search(copies, &oid, HASH_ENTER, nullptr));
  entry->copy = copy;
  return copy;
}

Oid reader_of(const Copy* copy, const CopySource& source) {
  HeapTuple tuple = SearchSysCache1(RELOID, ObjectIdGetDatum(source.relation));
  if (!HeapTupleIsValid(tuple)) return copy->owner;
  const Oid owner = reinterpret_cast<Form_pg_class>(GETSTRUCT(tuple))->relowner;
  ReleaseSysCache(tuple);
  return owner;
}

CopySource& source_of(Copy* copy, uint64_t ordinal) {
  if (ordinal < 1 || ordinal > static_cast<uint64_t>(copy->source_count))
    ereport(ERROR,
            (errcode(ERRCODE_INVALID_PARAMETER_VALUE), errmsg("copy \"%s\" has no source %llu", get_rel_name(copy->oid),
                                                              static_cast<unsigned long long>(ordinal))));
  return copy->sources[ordinal - 1];
}

}  // namespace anabranch
