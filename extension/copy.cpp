#include "extension/copy.hpp"

extern "C" {
#include <catalog/pg_class.h>
#include <utils/builtins.h>
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

int int_of(const char* name, int row) {
  return DatumGetInt32(column_of(name, row));
}

template <typename T>
T* allocate(int count) {
  return static_cast<T*>(palloc0(sizeof(T) * (count + 1)));
}

// One row for each column of each source; for a source without columns one row with NULL in place of the column.
//
// Names are those of the definition, which its statements use: after a rename the changes before it are still to come.
// Types are the shadow's, by way of the catalog and without a lock, for a transaction in the midst of DDL may hold one
// for long, and the shadow that it replaces must not be missed.
constexpr const char* sources_query = R"(
  SELECT s.ordinal, s.relation::oid AS relation, cardinality(s.columns) AS column_count, cardinality(s.key) AS key_count,
         c.number::int AS number, c.place::int AS place, array_position(s.key, c.number) AS key_place,
         coalesce((parse_ident((regexp_match(s.column_definitions[c.place], '^("(?:[^"]|"")*"|[^ ]+)'))[1]))[1], a.attname) AS name,
         a.atttypid AS type, a.atttypmod AS modifier, a.attcollation AS collation
  FROM anabranch.definition_source AS s
  LEFT JOIN LATERAL unnest(s.columns) WITH ORDINALITY AS c (number, place) ON true
  LEFT JOIN pg_attribute AS a ON a.attrelid = s.shadow AND a.attnum = c.number AND NOT a.attisdropped
  WHERE s.copy = $1 ORDER BY s.ordinal, c.place)";

// A source, from the first of its rows of the query. The current memory context is the copy's.
void describe_source(Copy* copy, CopySource* source, int row) {
  source->ordinal = int_of("ordinal", row);
  source->relation = DatumGetObjectId(column_of("relation", row));
  snprintf(source->delta_name, sizeof(source->delta_name), "delta_%d", source->ordinal);
  source->column_count = int_of("column_count", row);
  source->key_count = int_of("key_count", row);
  source->numbers = allocate<AttrNumber>(source->column_count);
  source->types = allocate<ValueType>(source->column_count);
  source->key = allocate<int>(source->key_count);
  for (int i = 0; i < source->column_count; i++)
    source->number_max = Max(source->number_max, int_of("number", row + i));
  source->place_of = allocate<int>(source->number_max);
  for (int i = 0; i <= source->number_max; i++) source->place_of[i] = -1;
  source->delta = CreateTemplateTupleDesc(source->column_count + (copy->rows_class ? 2 : 1));
  for (int i = 0; i < source->key_count; i++) source->key[i] = -1;
}

// The column in this row of the query.
void describe_column(Copy* copy, CopySource* source, int row) {
  const int place = int_of("place", row) - 1;
  const int number = int_of("number", row);
  const char* name = TextDatumGetCString(column_of("name", row));
  bool is_null;
  const Oid type = DatumGetObjectId(column_of("type", row, &is_null));
  if (is_null)
    ereport(ERROR, (errcode(kStale),
                    errmsg("column \"%s\" of a source of copy \"%s\" is gone", name, get_rel_name(copy->oid))));
  source->numbers[place] = static_cast<AttrNumber>(number);
  source->place_of[number] = place;
  source->types[place] = describe_value(type, copy->context);
  const auto attribute = static_cast<AttrNumber>(place + 1);
  TupleDescInitEntry(source->delta, attribute, name, type, int_of("modifier", row), 0);
  TupleDescInitEntryCollation(source->delta, attribute, DatumGetObjectId(column_of("collation", row)));
  const int key_place = DatumGetInt32(column_of("key_place", row, &is_null));
  if (!is_null) source->key[key_place - 1] = place;
}

void finish_source(Copy* copy, CopySource* source) {
  int next = source->column_count + 1;
  if (copy->rows_class) TupleDescInitEntry(source->delta, next++, "anabranch_key", BYTEAOID, -1, 0);
  TupleDescInitEntry(source->delta, next, "anabranch_w", INT4OID, -1, 0);
  for (int i = 0; i < source->key_count; i++)
    if (source->key[i] < 0)
      elog(ERROR, "a key column of source %d of copy %u is not one of its columns", source->ordinal, copy->oid);
}

// The sources, from all rows of the query. The current memory context is the copy's.
void describe_sources(Copy* copy) {
  const auto rows = static_cast<int>(SPI_processed);
  copy->sources = allocate<CopySource>(rows);
  for (int row = 0; row < rows;) {
    CopySource* source = &copy->sources[copy->source_count++];
    describe_source(copy, source, row);
    if (source->ordinal != copy->source_count) elog(ERROR, "the sources of copy %u are not numbered from 1", copy->oid);
    for (int i = 0; i < source->column_count; i++) describe_column(copy, source, row + i);
    finish_source(copy, source);
    row += Max(source->column_count, 1);
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

  MemoryContext context = AllocSetContextCreate(CurrentMemoryContext, "anabranch copy", ALLOCSET_SMALL_SIZES);
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

  if (SPI_execute_with_args(sources_query, 1, types, values, nullptr, true, 0) != SPI_OK_SELECT)
    elog(ERROR, "could not read a definition's sources");
  MemoryContextSwitchTo(context);
  describe_sources(copy);
  MemoryContextSwitchTo(caller);
  // Only now that nothing can fail any more.
  MemoryContextSetParent(context, CacheMemoryContext);
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
