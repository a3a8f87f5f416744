#include "extension/fill.hpp"

extern "C" {
#include <catalog/pg_class.h>
#include <catalog/pg_inherits.h>
#include <storage/lmgr.h>
#include <utils/fmgrprotos.h>
#include <utils/typcache.h>
}

#include "extension/apply.hpp"
#include "extension/error_codes.hpp"

namespace anabranch {
namespace {

// Rows fetched at a time from a source while a chunk is read.
constexpr long fetch_rows = 1000;

char* key_list(const CopySource& source) {
  StringInfoData list;
  initStringInfo(&list);
  for (int i = 0; i < source.key_count; i++)
    appendStringInfo(&list, "%s%s", i == 0 ? "" : ", ",
                     quote_identifier(NameStr(TupleDescAttr(source.delta, source.key[i])->attname)));
  return list.data;
}

// SELECT columns FROM source WHERE (key) > (...) ORDER BY key LIMIT n. Without `after` the WHERE is left out; a source
// without a key is read whole.
char* chunk_query(const CopySource& source, bool after, int max_rows) {
  StringInfoData query;
  initStringInfo(&query);
  appendStringInfoString(&query, "SELECT ");
  for (int i = 0; i < source.column_count; i++)
    appendStringInfo(&query, "%s%s", i == 0 ? "" : ", ",
                     quote_identifier(NameStr(TupleDescAttr(source.delta, i)->attname)));
  // A partitioned table stands for its partitions; children of a plain table are tables of their own.
  const bool partitioned = get_rel_relkind(source.relation) == RELKIND_PARTITIONED_TABLE;
  appendStringInfo(&query, " FROM %s%s", partitioned ? "" : "ONLY ", quoted_name(source.relation));
  if (source.key_count == 0) return query.data;
  if (after) {
    appendStringInfo(&query, " WHERE (%s) > (", key_list(source));
    for (int i = 0; i < source.key_count; i++) appendStringInfo(&query, "%s$%d", i == 0 ? "" : ", ", i + 1);
    appendStringInfoChar(&query, ')');
  }
  appendStringInfo(&query, " ORDER BY %s LIMIT %d", key_list(source), max_rows);
  return query.data;
}

// The key's columns out of row bytes that hold nothing else.
Datum* read_key(CopySource& source, bytea* bytes) {
  auto* values = static_cast<Datum*>(palloc0(sizeof(Datum) * source.key_count));
  wire::Reader reader(std::string_view(VARDATA_ANY(bytes), VARSIZE_ANY_EXHDR(bytes)));
  wire::Field field;
  int seen = 0;
  while (reader.next(field)) {
    for (int i = 0; i < source.key_count; i++) {
      if (source.numbers[source.key[i]] != static_cast<AttrNumber>(field.number)) continue;
      values[i] = read_value(source.types[source.key[i]], field);
      seen++;
    }
  }
  if (reader.damaged() || seen != source.key_count)
    ereport(ERROR, (errcode(ERRCODE_DATA_CORRUPTED), errmsg("the last key of a chunk of copy data is damaged")));
  return values;
}

// The bytes of the fields `places` (nullptr: all columns that are not null) of the row in changes->values.
std::string_view row_bytes(const Changes* changes, CopySource& source, const int* places, int count) {
  auto* prepared = static_cast<Value*>(palloc(sizeof(Value) * (count + 1)));
  size_t size = 0;
  for (int i = 0; i < count; i++) {
    const int place = places == nullptr ? i : places[i];
    if (changes->nulls[place]) continue;
    prepared[i] = prepare_value(source.types[place], changes->values[place]);
    size += value_field_size(static_cast<uint32_t>(source.numbers[place]), source.types[place], prepared[i]);
  }
  auto* bytes = static_cast<char*>(palloc(size + 1));
  wire::Writer writer(bytes);
  for (int i = 0; i < count; i++) {
    const int place = places == nullptr ? i : places[i];
    if (!changes->nulls[place])
      write_value(writer, static_cast<uint32_t>(source.numbers[place]), source.types[place], prepared[i]);
  }
  return std::string_view(bytes, size);
}

// Key columns in ascending order of their attribute numbers, as they stand in a row of the stream.
int* places_of_key(const CopySource& source) {
  auto* places = static_cast<int*>(palloc(sizeof(int) * (source.key_count + 1)));
  int count = 0;
  for (int place = 0; place < source.column_count; place++)
    for (int i = 0; i < source.key_count; i++)
      if (source.key[i] == place) places[count++] = place;
  return places;
}

bytea* to_bytea(std::string_view bytes) {
  auto* result = static_cast<bytea*>(palloc(VARHDRSZ + bytes.size()));
  SET_VARSIZE(result, VARHDRSZ + bytes.size());
  memcpy(VARDATA(result), bytes.data(), bytes.size());
  return result;
}

// What is already known of one source of a fill.
struct ChunkState {
  int number = 0;          // of the last chunk; 0: none
  bytea* upper = nullptr;  // its last key
  bool complete = false;
};

ChunkState last_chunk(const Copy* copy, int ordinal) {
  Oid types[2] = {OIDOID, INT4OID};
  Datum values[2] = {ObjectIdGetDatum(copy->oid), Int32GetDatum(ordinal)};
  if (SPI_execute_with_args("SELECT number, upper FROM anabranch.fill_chunk WHERE copy = $1 AND ordinal = $2 "
                            "ORDER BY number DESC LIMIT 1",
                            2, types, values, nullptr, false, 1) != SPI_OK_SELECT)
    elog(ERROR, "could not read the chunks of a fill");
  ChunkState state;
  if (SPI_processed == 0) return state;
  bool is_null;
  state.number = DatumGetInt32(SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1, &is_null));
  const Datum upper = SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 2, &is_null);
  state.complete = is_null;
  if (!is_null) state.upper = DatumGetByteaPCopy(upper);
  return state;
}

struct ChunkRead {
  int64 rows = 0;
  bytea* upper = nullptr;  // nullptr: the source ends here
  Datum snapshot = 0;
};

// Reads one chunk into the changes, under one snapshot.
ChunkRead read_chunk(Changes* changes, CopySource& source, const ChunkState& last, int max_rows) {
  // TRUNCATE and rewrites are not MVCC-safe: nobody may run one between the snapshot and the reading.
  LockRelationOid(source.relation, AccessShareLock);
  if (!SearchSysCacheExists1(RELOID, ObjectIdGetDatum(source.relation)))
    ereport(ERROR,
            (errcode(kStale), errmsg("a source table of copy \"%s\" is gone", get_rel_name(changes->copy->oid))));
  find_all_inheritors(source.relation, AccessShareLock, nullptr);

  const bool after = last.upper != nullptr;
  auto* types = static_cast<Oid*>(palloc(sizeof(Oid) * (source.key_count + 1)));
  for (int i = 0; i < source.key_count; i++) types[i] = TupleDescAttr(source.delta, source.key[i])->atttypid;
  Datum* values = nullptr;
  if (after) as_user(reader_of(changes->copy, source), [&] { values = read_key(source, last.upper); });
  int* key_places = places_of_key(source);

  ChunkRead read;
  PushActiveSnapshot(GetLatestSnapshot());
  read.snapshot = PointerGetDatum(PG_DETOAST_DATUM_COPY(DirectFunctionCall1(pg_current_snapshot, 0)));
  as_user(changes->copy->owner, [&] {
    Portal portal =
        SPI_cursor_open_with_args(nullptr, chunk_query(source, after, max_rows), after ? source.key_count : 0, types,
                                  values, nullptr, true, CURSOR_OPT_NO_SCROLL);
    // After the query was planned: what it pins lasts until the chunk is read.
    const int settings = pin_output_settings();
    std::string_view key;
    MemoryContext caller = CurrentMemoryContext;
    for (;;) {
      SPI_cursor_fetch(portal, true, fetch_rows);
      SPITupleTable* table = SPI_tuptable;
      const uint64 fetched = SPI_processed;
      for (uint64 i = 0; i < fetched; i++) {
        MemoryContextReset(changes->scratch);
        MemoryContextSwitchTo(changes->scratch);
        heap_deform_tuple(table->vals[i], table->tupdesc, changes->values, changes->nulls);
        const bool need_key = changes->copy->rows_class || source.key_count > 0;
        if (need_key)
          key = source.key_count > 0 ? row_bytes(changes, source, key_places, source.key_count)
                                     : row_bytes(changes, source, nullptr, source.column_count);
        put_row(changes, &source, key, 1);
        read.rows++;
        MemoryContextSwitchTo(caller);
      }
      if (fetched > 0 && source.key_count > 0 && read.rows == max_rows) read.upper = to_bytea(key);
      SPI_freetuptable(table);
      if (fetched < static_cast<uint64>(fetch_rows)) break;
      CHECK_FOR_INTERRUPTS();
    }
    unpin_output_settings(settings);
    SPI_cursor_close(portal);
  });
  PopActiveSnapshot();
  return read;
}

void record_chunk(const Copy* copy, int ordinal, int number, const ChunkRead& read) {
  Oid types[6] = {OIDOID, INT4OID, INT4OID, BYTEAOID, PG_SNAPSHOTOID, INT8OID};
  Datum values[6] = {ObjectIdGetDatum(copy->oid), Int32GetDatum(ordinal), Int32GetDatum(number),
                     PointerGetDatum(read.upper), read.snapshot,          Int64GetDatum(read.rows)};
  const char nulls[6] = {' ', ' ', ' ', read.upper == nullptr ? 'n' : ' ', ' ', ' '};
  if (SPI_execute_with_args("INSERT INTO anabranch.fill_chunk (copy, ordinal, number, upper, snapshot, rows) "
                            "VALUES ($1, $2, $3, $4, $5, $6)",
                            6, types, values, nulls, false, 0) != SPI_OK_INSERT)
    elog(ERROR, "could not record a chunk");
  Oid row_types[2] = {OIDOID, INT8OID};
  Datum row_values[2] = {values[0], values[5]};
  if (SPI_execute_with_args("UPDATE anabranch.progress SET fill_rows = coalesce(fill_rows, 0) + $2 WHERE copy = $1", 2,
                            row_types, row_values, nullptr, false, 0) != SPI_OK_UPDATE)
    elog(ERROR, "could not record the progress of a fill");
}

void replace_view(Oid copy, const char* query) {
  if (SPI_execute(psprintf("CREATE OR REPLACE VIEW %s AS %s", quoted_name(copy), query), false, 0) != SPI_OK_UTILITY)
    elog(ERROR, "could not replace the view of copy %u", copy);
}

// Runs `statement` with the copy as $1 and a position as $2, and raises when no row of progress was there for it.
void update_progress(const Copy* copy, const char* statement, Datum lsn, Datum slot) {
  Oid types[3] = {OIDOID, PG_LSNOID, TEXTOID};
  Datum values[3] = {ObjectIdGetDatum(copy->oid), lsn, slot};
  if (SPI_execute_with_args(statement, slot == 0 ? 2 : 3, types, values, nullptr, false, 0) != SPI_OK_UPDATE ||
      SPI_processed != 1)
    ereport(ERROR, (errcode(kWrongState), errmsg("copy \"%s\" is unbound", get_rel_name(copy->oid)),
                    errhint("Fill it with anabranch.resume.")));
}

}  // namespace

FillFilter open_fill_filter(Copy* copy) {
  FillFilter filter;
  filter.sources = static_cast<FillFilter::Source*>(palloc0(sizeof(FillFilter::Source) * (copy->source_count + 1)));
  const int settings = pin_output_settings();
  for (int i = 0; i < copy->source_count; i++) {
    CopySource& source = copy->sources[i];
    FillFilter::Source& known = filter.sources[i];
    known.compare = static_cast<FmgrInfo*>(palloc0(sizeof(FmgrInfo) * (source.key_count + 1)));
    known.collations = static_cast<Oid*>(palloc0(sizeof(Oid) * (source.key_count + 1)));
    for (int k = 0; k < source.key_count; k++) {
      const Form_pg_attribute column = TupleDescAttr(source.delta, source.key[k]);
      TypeCacheEntry* type = lookup_type_cache(column->atttypid, TYPECACHE_CMP_PROC_FINFO);
      if (type->cmp_proc_finfo.fn_oid == InvalidOid)
        elog(ERROR, "type %s of a row key has no order", format_type_be(column->atttypid));
      fmgr_info_copy(&known.compare[k], &type->cmp_proc_finfo, CurrentMemoryContext);
      known.collations[k] = column->attcollation;
    }

    Oid types[2] = {OIDOID, INT4OID};
    Datum values[2] = {ObjectIdGetDatum(copy->oid), Int32GetDatum(source.ordinal)};
    if (SPI_execute_with_args("SELECT upper, snapshot FROM anabranch.fill_chunk WHERE copy = $1 AND ordinal = $2 "
                              "ORDER BY number",
                              2, types, values, nullptr, false, 0) != SPI_OK_SELECT)
      elog(ERROR, "could not read the chunks of a fill");
    known.count = static_cast<int>(SPI_processed);
    known.chunks = static_cast<FillChunk*>(palloc0(sizeof(FillChunk) * (known.count + 1)));
    SPITupleTable* found = SPI_tuptable;
    as_user(reader_of(copy, source), [&] {
      for (int c = 0; c < known.count; c++) {
        bool is_null;
        const Datum upper = SPI_getbinval(found->vals[c], found->tupdesc, 1, &is_null);
        known.chunks[c].upper = is_null ? nullptr : read_key(source, DatumGetByteaPP(upper));
        const Datum snapshot = SPI_getbinval(found->vals[c], found->tupdesc, 2, &is_null);
        known.chunks[c].snapshot = PointerGetDatum(PG_DETOAST_DATUM_COPY(snapshot));
      }
    });
  }
  unpin_output_settings(settings);
  return filter;
}

bool counts_in_fill(const FillFilter& filter, const Changes* changes, const CopySource* source, uint64 xid) {
  const FillFilter::Source& known = filter.sources[source->ordinal - 1];
  // The first chunk whose last key is not below the row's key.
  int low = 0;
  int high = known.count;
  while (low < high) {
    const int middle = low + (high - low) / 2;
    const FillChunk& chunk = known.chunks[middle];
    int order = 0;
    for (int k = 0; k < source->key_count && chunk.upper != nullptr && order == 0; k++)
      order = DatumGetInt32(
          FunctionCall2Coll(&known.compare[k], known.collations[k], changes->values[source->key[k]], chunk.upper[k]));
    if (order > 0)
      low = middle + 1;
    else
      high = middle;
  }
  if (low == known.count) return false;
  return !DatumGetBool(DirectFunctionCall2(pg_visible_in_snapshot, UInt64GetDatum(xid), known.chunks[low].snapshot));
}

}  // namespace anabranch

ANABRANCH_EXPORTS_BEGIN
extern "C" {
PG_FUNCTION_INFO_V1(anabranch_fill_start);
PG_FUNCTION_INFO_V1(anabranch_fill_chunk);
PG_FUNCTION_INFO_V1(anabranch_show);
PG_FUNCTION_INFO_V1(anabranch_replace_view);
}
ANABRANCH_EXPORTS_END

using namespace anabranch;

// fill_start(copy oid, slot text, lsn pg_lsn): begins a fill, or begins it again, from nothing.
Datum anabranch_fill_start(PG_FUNCTION_ARGS) {
  SPI_connect();
  Copy* copy = load_copy(PG_GETARG_OID(0));
  // A source may have changed since the copy was defined, and before the log that this fill goes by begins.
  SPI_execute(psprintf("SELECT anabranch.require_fit(%1$u), anabranch.note_functions(%1$u)", copy->oid), false, 0);
  update_progress(
      copy,
      "UPDATE anabranch.progress SET state = 'filling', lsn = $2, fill_slot = $3, fill_rows = 0, "
      "fill_started_at = now(), changed_at = now(), sqlstate = NULL, reason = NULL, failed_lsn = NULL, "
      "fill_rows_total = (SELECT sum(greatest(leaf.reltuples, 0))::bigint "
      "FROM anabranch.definition_source AS s, "
      "LATERAL (SELECT c.reltuples FROM pg_class AS c WHERE c.oid = s.relation AND c.relkind <> 'p' UNION ALL "
      "SELECT c.reltuples FROM pg_partition_tree(s.relation) AS t JOIN pg_class AS c ON c.oid = t.relid "
      "WHERE t.isleaf AND t.level > 0) AS leaf WHERE s.copy = $1) WHERE copy = $1",
      PG_GETARG_DATUM(2), PG_GETARG_DATUM(1));
  // What a reader of a copy filled before sees meanwhile is nothing, not a part.
  replace_view(copy->oid, psprintf("SELECT * FROM (%s) AS shown WHERE false", copy->shown_view));
  Oid types[1] = {OIDOID};
  Datum values[1] = {ObjectIdGetDatum(copy->oid)};
  if (SPI_execute_with_args("DELETE FROM anabranch.fill_chunk WHERE copy = $1", 1, types, values, nullptr, false, 0) !=
      SPI_OK_DELETE)
    elog(ERROR, "could not forget the chunks of an earlier fill");
  if (SPI_execute(psprintf("TRUNCATE ONLY %s", quoted_name(copy->state)), false, 0) != SPI_OK_UTILITY)
    elog(ERROR, "could not empty the state of copy %u", copy->oid);
  // Over no rows at all, a query without GROUP BY has its one row.
  Changes changes = open_changes(copy);
  apply_changes(&changes);
  close_changes(&changes);
  SPI_finish();
  PG_RETURN_VOID();
}

// fill_chunk(copy oid, max_rows int) -> (ordinal int, rows bigint, done bool): reads the next chunk of the first source
// that is not complete, folds and merges it. done: every source is complete, also when there was nothing left to do.
Datum anabranch_fill_chunk(PG_FUNCTION_ARGS) {
  const int max_rows = PG_GETARG_INT32(1);
  if (max_rows < 1) ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE), errmsg("max_rows must be at least 1")));
  if (IsolationUsesXactSnapshot())
    ereport(ERROR, (errcode(ERRCODE_ACTIVE_SQL_TRANSACTION), errmsg("a fill needs isolation level READ COMMITTED")));
  TupleDesc description;
  if (get_call_result_type(fcinfo, nullptr, &description) != TYPEFUNC_COMPOSITE)
    elog(ERROR, "return type must be a row type");
  description = BlessTupleDesc(description);

  SPI_connect();
  Copy* copy = load_copy(PG_GETARG_OID(0));
  int ordinal = 0;
  ChunkRead read;
  bool done = true;
  for (int i = 0; i < copy->source_count; i++) {
    CopySource& source = copy->sources[i];
    const ChunkState last = last_chunk(copy, source.ordinal);
    if (last.complete) continue;
    if (ordinal != 0) {
      done = false;
      break;
    }
    ordinal = source.ordinal;
    Changes changes = open_changes(copy);
    read = read_chunk(&changes, source, last, max_rows);
    if (changes.rows > 0) apply_changes(&changes);
    close_changes(&changes);
    record_chunk(copy, ordinal, last.number + 1, read);
    if (read.upper != nullptr) {
      done = false;
      break;
    }
  }
  SPI_finish();
  Datum values[3] = {Int32GetDatum(ordinal), Int64GetDatum(read.rows), BoolGetDatum(done)};
  bool nulls[3] = {ordinal == 0, false, false};
  return HeapTupleGetDatum(heap_form_tuple(description, values, nulls));
}

// show(copy oid, lsn pg_lsn): the copy is level with the others at `lsn`: it joins them, and its rows appear.
Datum anabranch_show(PG_FUNCTION_ARGS) {
  SPI_connect();
  Copy* copy = load_copy(PG_GETARG_OID(0));
  update_progress(copy,
                  "UPDATE anabranch.progress SET state = 'live', lsn = $2, live_since = now(), changed_at = now(), "
                  "fill_slot = NULL, sqlstate = NULL, reason = NULL, failed_lsn = NULL WHERE copy = $1",
                  PG_GETARG_DATUM(1), 0);
  replace_view(copy->oid, copy->shown_view);
  SPI_finish();
  PG_RETURN_VOID();
}

// replace_view(copy oid, query text): gives a copy's view another query, which has its columns, or more behind them.
Datum anabranch_replace_view(PG_FUNCTION_ARGS) {
  SPI_connect();
  replace_view(PG_GETARG_OID(0), text_to_cstring(PG_GETARG_TEXT_PP(1)));
  SPI_finish();
  PG_RETURN_VOID();
}
