#include "extension/changes.hpp"

extern "C" {
#include <common/cryptohash.h>
#include <common/sha2.h>
#include <miscadmin.h>
}

#include "extension/delta_format.hpp"
#include "extension/fill.hpp"

namespace anabranch {
namespace {

// Keys up to this many bytes are stored as they are. A btree takes 2704 bytes at the most.
constexpr size_t key_bytes_max = 1024;

[[noreturn]] void refuse(const char* what) {
  ereport(ERROR, (errcode(ERRCODE_DATA_CORRUPTED), errmsg("malformed delta: %s", what)));
}

struct DeltaRow {
  CopySource* source = nullptr;
  int64 weight = 0;
  std::string_view row;
  uint64 xid = 0;
};

DeltaRow read_row(Copy* copy, std::string_view bytes) {
  DeltaRow row;
  wire::Reader reader(bytes);
  wire::Field field;
  while (reader.next(field)) {
    const bool in_bytes = field.number == fields::row::row;
    if (in_bytes != (field.type == wire::Type::bytes)) refuse("a field of a row is of another type");
    switch (field.number) {
      case fields::row::source:
        row.source = &source_of(copy, field.value);
        break;
      case fields::row::weight:
        row.weight = wire::unzigzag(field.value);
        break;
      case fields::row::row:
        row.row = field.bytes;
        break;
      case fields::row::xid:
        row.xid = field.value;
        break;
      default:
        refuse("unknown field in a row");
    }
  }
  if (reader.damaged()) refuse("a row ends inside a field");
  if (row.source == nullptr) refuse("a row names no source");
  if (row.weight == 0) refuse("a row has no weight");
  return row;
}

// Reads the columns of `row` into changes->values, and, unless `key` is nullptr, gathers the bytes of its key there (at
// least as large as row).
std::string_view read_values(Changes* changes, CopySource* source, std::string_view row, char* key) {
  const int key_count = key == nullptr ? 0 : source->key_count;
  for (int i = 0; i < source->column_count; i++) changes->nulls[i] = true;
  wire::Reader reader(row);
  wire::Field field;
  size_t key_size = 0;
  int keys_seen = 0;
  const char* start = row.data();
  while (reader.next(field)) {
    const char* end = row.data() + (row.size() - reader.left());
    const int place = field.number <= static_cast<uint32_t>(source->number_max) ? source->place_of[field.number] : -1;
    if (place < 0) refuse("a row holds a column that the copy does not use");
    changes->values[place] = read_value(source->types[place], field);
    changes->nulls[place] = false;
    for (int i = 0; i < key_count; i++) {
      if (source->key[i] != place) continue;
      memcpy(key + key_size, start, end - start);
      key_size += end - start;
      keys_seen++;
    }
    start = end;
  }
  if (reader.damaged()) refuse("a row's value ends too early");
  if (key_count == 0) return row;
  if (keys_seen != key_count) refuse("a row lacks a column of its key");
  return std::string_view(key, key_size);
}

}  // namespace

Changes open_changes(Copy* copy) {
  Changes changes = {};
  changes.copy = copy;
  changes.stores = static_cast<Tuplestorestate**>(palloc0(sizeof(Tuplestorestate*) * (copy->source_count + 1)));
  int columns_max = 0;
  for (int i = 0; i < copy->source_count; i++) {
    changes.stores[i] = tuplestore_begin_heap(false, false, work_mem);
    columns_max = Max(columns_max, copy->sources[i].delta->natts);
  }
  changes.values = static_cast<Datum*>(palloc(sizeof(Datum) * columns_max));
  changes.nulls = static_cast<bool*>(palloc(sizeof(bool) * columns_max));
  changes.scratch = AllocSetContextCreate(CurrentMemoryContext, "anabranch changed row", ALLOCSET_DEFAULT_SIZES);
  return changes;
}

void close_changes(Changes* changes) {
  for (int i = 0; i < changes->copy->source_count; i++) tuplestore_end(changes->stores[i]);
  MemoryContextDelete(changes->scratch);
}

Datum row_key(std::string_view image) {
  // A field begins with a tag, never with a zero byte: a digest cannot be taken for a key.
  const bool digested = image.size() > key_bytes_max;
  const size_t size = digested ? 1 + PG_SHA256_DIGEST_LENGTH : image.size();
  auto* key = static_cast<bytea*>(palloc(VARHDRSZ + size));
  SET_VARSIZE(key, VARHDRSZ + size);
  if (!digested) {
    memcpy(VARDATA(key), image.data(), image.size());
    return PointerGetDatum(key);
  }
  auto* digest = reinterpret_cast<uint8*>(VARDATA(key));
  digest[0] = 0;
  pg_cryptohash_ctx* hash = pg_cryptohash_create(PG_SHA256);
  if (hash == nullptr || pg_cryptohash_init(hash) < 0 ||
      pg_cryptohash_update(hash, reinterpret_cast<const uint8*>(image.data()), image.size()) < 0 ||
      pg_cryptohash_final(hash, digest + 1, PG_SHA256_DIGEST_LENGTH) < 0)
    elog(ERROR, "could not compute a SHA-256 digest");
  pg_cryptohash_free(hash);
  return PointerGetDatum(key);
}

void put_row(Changes* changes, CopySource* source, std::string_view key, int64 weight) {
  int next = source->column_count;
  if (changes->copy->rows_class) {
    changes->values[next] = row_key(key);
    changes->nulls[next++] = false;
  }
  changes->values[next] = Int32GetDatum(weight > 0 ? 1 : -1);
  changes->nulls[next] = false;
  // The statements count on weights of one: intervals cannot be multiplied exactly.
  const int64 times = weight > 0 ? weight : -weight;
  for (int64 i = 0; i < times; i++)
    tuplestore_putvalues(changes->stores[source->ordinal - 1], source->delta, changes->values, changes->nulls);
  changes->rows += times;
}

namespace {

// The copy is emptied first: what was gathered before goes with it.
void begin_anew(Changes* changes) {
  for (int i = 0; i < changes->copy->source_count; i++) tuplestore_clear(changes->stores[i]);
  changes->rows = 0;
  changes->truncate = true;
}

}  // namespace

void read_delta(Changes* changes, std::string_view delta, const FillFilter* filter) {
  Copy* copy = changes->copy;
  Oid user;
  int context;
  GetUserIdAndSecContext(&user, &context);
  Assert((context & SECURITY_RESTRICTED_OPERATION) != 0);
  auto* readers = static_cast<Oid*>(palloc(sizeof(Oid) * (copy->source_count + 1)));
  for (int i = 0; i < copy->source_count; i++) readers[i] = reader_of(copy, copy->sources[i]);

  // Beyond the columns that the query names, groups need the key only for telling which chunk of a fill a row is in.
  const bool with_key = copy->rows_class || filter != nullptr;
  wire::Reader reader(delta);
  wire::Field field;
  MemoryContext caller = MemoryContextSwitchTo(changes->scratch);
  while (reader.next(field)) {
    if (field.number == fields::delta::truncate) {
      if (field.value != 0) begin_anew(changes);
      continue;
    }
    if (field.number != fields::delta::rows || field.type != wire::Type::bytes) refuse("unknown field");
    const DeltaRow row = read_row(copy, field.bytes);
    SetUserIdAndSecContext(readers[row.source->ordinal - 1], context);
    auto* key_bytes = with_key ? static_cast<char*>(palloc(row.row.size() + 1)) : nullptr;
    const std::string_view key = read_values(changes, row.source, row.row, key_bytes);
    if (filter == nullptr || counts_in_fill(*filter, changes, row.source, row.xid))
      put_row(changes, row.source, key, row.weight);
    MemoryContextReset(changes->scratch);
    CHECK_FOR_INTERRUPTS();
  }
  MemoryContextSwitchTo(caller);
  SetUserIdAndSecContext(user, context);
  if (reader.damaged()) refuse("it ends inside a field");
}

}  // namespace anabranch
