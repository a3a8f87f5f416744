// The rows that a published table has now, as the records that the decoder would send: for topics that begin with what
// exists. On an ordinary connection.
//
// Method:
//   1. Nobody may truncate or rewrite the table between the snapshot and the reading, since neither is MVCC-safe: the
//      table and its partitions are locked first, as any query would.
//   2. Snapshot S, then the insert position L of the WAL: every transaction visible in S ends at or before L.
//   3. The next rows in the order of a unique key are read under S, as the table's owner, and go through the decoder's
//      own selection, row filters and encoding. They come as one transaction of inserts whose commit stands at L.
//      A value of more than value_bytes_max bytes, or what its column is printed from, is told as a gap.
//   4. The last key read is handed back; the next call goes on behind it. No key: the table ends here.
#include "extension/postgres.hpp"

extern "C" {
#include <access/xlog.h>
#include <catalog/pg_class.h>
#include <catalog/pg_inherits.h>
#include <storage/lmgr.h>
#include <utils/timestamp.h>
}

#include "decoder/frame.hpp"
#include "decoder/relation.hpp"

namespace anabranch {
namespace {

constexpr long fetch_rows = 200;
// A condition that few rows meet must not hold the snapshot for long.
constexpr int64 read_us_max = 500'000;
constexpr int result_columns = 7;
// AN010. One of our own: a condition may raise any other.
constexpr int other_key = MAKE_SQLSTATE('A', 'N', '0', '1', '0');

[[noreturn]] void refuse_without_key(Relation table) {
  ereport(ERROR, (errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
                  errmsg("table \"%s\" has no key by which its rows could be read", RelationGetRelationName(table)),
                  errhint("Give it a primary key, or a replica identity by an index.")));
  pg_unreachable();
}

// The columns of the unique key that gives the order, by attribute number.
struct OrderKey {
  AttrNumber* numbers = nullptr;
  int count = 0;
};

OrderKey order_of(Relation table) {
  Oid oid = RelationGetPrimaryKeyIndex(table, false);
  if (!OidIsValid(oid) && table->rd_rel->relreplident == REPLICA_IDENTITY_INDEX) oid = RelationGetReplicaIndex(table);
  if (!OidIsValid(oid)) refuse_without_key(table);
  Relation index = index_open(oid, AccessShareLock);
  OrderKey key;
  key.count = index->rd_index->indnkeyatts;
  key.numbers = static_cast<AttrNumber*>(palloc(sizeof(AttrNumber) * key.count));
  for (int i = 0; i < key.count; ++i) key.numbers[i] = index->rd_index->indkey.values[i];
  index_close(index, AccessShareLock);
  return key;
}

class Reading {
 public:
  Reading(Relation table, const char* publication, bool careful, int value_bytes_max);

  void run(bytea* after, int rows_max, int bytes_max, const char* condition, ReturnSetInfo* result);

 private:
  const char* query(bool after, int rows_max, const char* condition) const;
  Datum* read_key(bytea* bytes) const;
  bytea* write_key() const;
  void read_rows(Portal portal, int rows_max, int bytes_max);
  void take(HeapTuple tuple, TupleDesc descriptor);
  RelationEntry* entry_of(Oid leaf);
  Column* column(AttrNumber number) const;
  bool in_key(const Column& column) const;
  template <typename Body>
  void append(const Body& body) {
    frame_.append(body);
    if (frame_.is_full()) flush();
  }
  void flush();

  Relation table_;
  int value_bytes_max_;
  MemoryContext context_, row_context_;
  RelationCache* cache_;
  RelationEntry* entry_;
  OrderKey key_;
  bool is_partitioned_;
  Tuple tuple_;  // in the table's shape, and behind it where the row lies and whether it meets the condition
  Frame frame_;
  ReturnSetInfo* result_ = nullptr;
  Oid last_leaf_ = InvalidOid;
  RelationEntry* leaf_entry_ = nullptr;
  uint64 changes_ = 0;
  int64 scanned_ = 0;
  uint64 bytes_ = 0;
  bytea* upper_ = nullptr;
};

static_assert(std::is_trivially_destructible_v<Reading>);

Reading::Reading(Relation table, const char* publication, bool careful, int value_bytes_max)
    : table_(table), value_bytes_max_(value_bytes_max) {
  context_ = AllocSetContextCreate(CurrentMemoryContext, "anabranch content", ALLOCSET_DEFAULT_SIZES);
  row_context_ = AllocSetContextCreate(CurrentMemoryContext, "anabranch content row", ALLOCSET_DEFAULT_SIZES);
  MemoryContext caller = MemoryContextSwitchTo(context_);
  cache_ = static_cast<RelationCache*>(palloc0(sizeof(RelationCache)));
  cache_->open(context_, list_make1(pstrdup(publication)));
  entry_ = cache_->find(table);
  const char* name = RelationGetRelationName(table);
  if (!entry_->selection.any())
    ereport(ERROR, (errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
                    errmsg("table \"%s\" is not published by publication \"%s\"", name, publication),
                    errhint("ALTER PUBLICATION ... ADD TABLE adds it.")));
  if (entry_->selection.published_as != RelationGetRelid(table))
    ereport(ERROR, (errcode(ERRCODE_WRONG_OBJECT_TYPE),
                    errmsg("partition \"%s\" is published under the name of table \"%s\"", name,
                           get_rel_name(entry_->selection.published_as)),
                    errhint("Name that table; a condition picks the partition's rows.")));
  is_partitioned_ = table->rd_rel->relkind == RELKIND_PARTITIONED_TABLE;
  key_ = order_of(table);
  for (int i = 0; i < key_.count; ++i)
    if (column(key_.numbers[i]) == nullptr) refuse_without_key(table);
  if (careful)
    for (int i = 0; i < entry_->column_count; ++i)
      entry_->columns[i].has_failed |= holds_bytes(entry_->columns[i].type.encoding);
  const int natts = RelationGetDescr(table)->natts + 2;
  tuple_.values = static_cast<Datum*>(palloc0(sizeof(Datum) * natts));
  tuple_.nulls = static_cast<bool*>(palloc0(sizeof(bool) * natts));
  frame_.open(context_);
  MemoryContextSwitchTo(caller);
}

Column* Reading::column(AttrNumber number) const {
  for (int i = 0; i < entry_->column_count; ++i)
    if (entry_->columns[i].number == static_cast<uint32_t>(number)) return &entry_->columns[i];
  return nullptr;
}

bool Reading::in_key(const Column& column) const {
  for (int i = 0; i < key_.count; ++i)
    if (column.number == static_cast<uint32_t>(key_.numbers[i])) return true;
  return false;
}

// Columns in their places, then where the row lies, then whether it meets the condition.
const char* Reading::query(bool after, int rows_max, const char* condition) const {
  TupleDesc shape = RelationGetDescr(table_);
  StringInfoData query, keys, bounds;
  initStringInfo(&query);
  initStringInfo(&keys);
  initStringInfo(&bounds);
  appendStringInfoString(&query, "SELECT ");
  for (int i = 0; i < shape->natts; ++i) {
    Form_pg_attribute attribute = TupleDescAttr(shape, i);
    appendStringInfo(&query, "%s, ",
                     attribute->attisdropped ? "NULL::pg_catalog.int4" : quote_identifier(NameStr(attribute->attname)));
  }
  for (int i = 0; i < key_.count; ++i) {
    const char* name = quote_identifier(NameStr(TupleDescAttr(shape, key_.numbers[i] - 1)->attname));
    appendStringInfo(&keys, "%s%s", i == 0 ? "" : ", ", name);
    appendStringInfo(&bounds, "%s$%d", i == 0 ? "" : ", ", i + 1);
  }
  appendStringInfo(
      &query, "tableoid, (%s) IS TRUE FROM %s%s", condition ? condition : "true", is_partitioned_ ? "" : "ONLY ",
      quote_qualified_identifier(get_namespace_name(RelationGetNamespace(table_)), RelationGetRelationName(table_)));
  if (after) appendStringInfo(&query, " WHERE (%s) > (%s)", keys.data, bounds.data);
  appendStringInfo(&query, " ORDER BY %s LIMIT %d", keys.data, rows_max);
  return query.data;
}

// The key's values in the order of the index, out of the bytes of a row that holds nothing else.
Datum* Reading::read_key(bytea* bytes) const {
  auto* values = static_cast<Datum*>(palloc0(sizeof(Datum) * key_.count));
  wire::Reader reader(std::string_view(VARDATA_ANY(bytes), VARSIZE_ANY_EXHDR(bytes)));
  wire::Field field;
  int seen = 0;
  while (reader.next(field))
    for (int i = 0; i < key_.count; ++i) {
      if (key_.numbers[i] != static_cast<AttrNumber>(field.number)) continue;
      values[i] = read_value(column(key_.numbers[i])->type, field);
      ++seen;
    }
  if (reader.damaged() || seen != key_.count)
    ereport(ERROR, (errcode(other_key),
                    errmsg("the key to go on from is not one of table \"%s\"", RelationGetRelationName(table_)),
                    errhint("Its columns have changed: read it from the start.")));
  return values;
}

// Of the row in tuple_: the key's fields, in ascending order of their numbers.
bytea* Reading::write_key() const {
  auto* values = static_cast<Value*>(palloc(sizeof(Value) * key_.count));
  auto** columns = static_cast<Column**>(palloc(sizeof(Column*) * key_.count));
  int count = 0;
  size_t size = 0;
  for (int i = 0; i < entry_->column_count; ++i)
    for (int k = 0; k < key_.count; ++k) {
      if (entry_->columns[i].number != static_cast<uint32_t>(key_.numbers[k])) continue;
      columns[count] = &entry_->columns[i];
      values[count] = prepare_value(columns[count]->type, tuple_.values[columns[count]->source]);
      size += value_field_size(columns[count]->number, columns[count]->type, values[count]);
      ++count;
    }
  auto* key = static_cast<bytea*>(palloc(VARHDRSZ + size));
  SET_VARSIZE(key, VARHDRSZ + size);
  wire::Writer writer(VARDATA(key));
  for (int i = 0; i < count; ++i) write_value(writer, columns[i]->number, columns[i]->type, values[i]);
  return key;
}

// What describes the rows of a partition: its replica identity is its own.
RelationEntry* Reading::entry_of(Oid leaf) {
  if (!is_partitioned_) return entry_;
  if (leaf == last_leaf_) return leaf_entry_;
  Relation partition = table_open(leaf, AccessShareLock);
  leaf_entry_ = cache_->find(partition);
  table_close(partition, NoLock);
  last_leaf_ = leaf;
  if (leaf_entry_->selection.published_as != entry_->oid)
    ereport(ERROR, (errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
                    errmsg("what is published of table \"%s\" has just changed", RelationGetRelationName(table_))));
  return leaf_entry_;
}

void Reading::take(HeapTuple tuple, TupleDesc descriptor) {
  heap_deform_tuple(tuple, descriptor, tuple_.values, tuple_.nulls);
  const int natts = RelationGetDescr(table_)->natts;
  if (!DatumGetBool(tuple_.values[natts + 1])) return;
  Verdict verdict;
  const auto operation = entry_->selection.inserts ? Operation::insert : Operation::update;
  if (entry_->filter) verdict = judge_row(entry_->filter, operation, tuple_, nullptr);
  if (!verdict.passes && !verdict.has_failed) return;

  RelationEntry* described = entry_of(DatumGetObjectId(tuple_.values[natts]));
  size_t* too_large = nullptr;  // by column: what nobody wants to publish is not fetched
  for (int i = 0; i < entry_->column_count; ++i) {
    const Column& column = entry_->columns[i];
    if (!column.is_varlena || tuple_.nulls[column.source]) continue;
    Datum& value = tuple_.values[column.source];
    const size_t size = toast_raw_datum_size(value) - VARHDRSZ;
    if (size > static_cast<size_t>(value_bytes_max_) && !in_key(column)) {
      if (too_large == nullptr) too_large = static_cast<size_t*>(palloc0(sizeof(size_t) * entry_->column_count));
      too_large[i] = size;
      tuple_.nulls[column.source] = true;
      continue;
    }
    auto* stored = reinterpret_cast<varlena*>(DatumGetPointer(value));
    if (VARATT_IS_EXTERNAL(stored)) value = PointerGetDatum(detoast_external_attr(stored));
  }
  Column* at = nullptr;
  Row& row = entry_->after;
  prepare_row(entry_->columns, entry_->column_count, tuple_, nullptr, true, &row, &at);
  for (int i = 0; too_large != nullptr && i < entry_->column_count; ++i)
    if (too_large[i] > 0) row.omit(entry_->columns[i], "54000", psprintf("a value of %zu bytes", too_large[i]));
  if (too_large != nullptr) row.finish();
  if (verdict.has_failed)
    row.omit_all(entry_->columns, entry_->column_count, verdict.failure.sqlstate, verdict.failure.message);
  if (cache_->must_describe(described)) append(record::Encoded<record::Relation>{described->description});
  each_fragment(row, false, entry_->oid, [this](const record::Fragment& fragment) { append(fragment); });
  append(record::Insert<Row>{entry_->oid, row, row.gaps});
  ++changes_;
}

void Reading::flush() {
  const std::string_view bytes = frame_.bytes();
  bytes_ += bytes.size();
  auto* frame = static_cast<bytea*>(palloc(VARHDRSZ + bytes.size()));
  SET_VARSIZE(frame, VARHDRSZ + bytes.size());
  memcpy(VARDATA(frame), bytes.data(), bytes.size());
  frame_.clear();
  Datum values[result_columns] = {PointerGetDatum(frame)};
  bool nulls[result_columns] = {false, true, true, true, true, true, true};
  tuplestore_putvalues(result_->setResult, result_->setDesc, values, nulls);
  pfree(frame);
}

void Reading::read_rows(Portal portal, int rows_max, int bytes_max) {
  const TimestampTz start = GetCurrentTimestamp();
  MemoryContext caller = CurrentMemoryContext;
  for (bool stops = false; !stops;) {
    CHECK_FOR_INTERRUPTS();
    SPI_cursor_fetch(portal, true, fetch_rows);
    SPITupleTable* found = SPI_tuptable;
    const uint64 fetched = SPI_processed;
    for (uint64 i = 0; i < fetched && !stops; ++i) {
      MemoryContextReset(row_context_);
      MemoryContextSwitchTo(row_context_);
      take(found->vals[i], found->tupdesc);
      ++scanned_;
      stops = scanned_ == rows_max || bytes_ + frame_.bytes().size() >= static_cast<uint64>(bytes_max);
      if (!stops && i + 1 == fetched && fetched == static_cast<uint64>(fetch_rows))
        stops = GetCurrentTimestamp() - start > read_us_max;
      if (stops) {
        bytea* key = write_key();
        MemoryContextSwitchTo(context_);
        upper_ = static_cast<bytea*>(palloc(VARSIZE(key)));
        memcpy(upper_, key, VARSIZE(key));
      }
      MemoryContextSwitchTo(caller);
    }
    SPI_freetuptable(found);
    if (fetched < static_cast<uint64>(fetch_rows)) break;
  }
}

void Reading::run(bytea* after, int rows_max, int bytes_max, const char* condition, ReturnSetInfo* result) {
  result_ = result;
  Oid user;
  int security;
  GetUserIdAndSecContext(&user, &security);
  auto* types = static_cast<Oid*>(palloc(sizeof(Oid) * key_.count));
  for (int i = 0; i < key_.count; ++i)
    types[i] = TupleDescAttr(RelationGetDescr(table_), key_.numbers[i] - 1)->atttypid;

  SPI_connect();
  PushActiveSnapshot(GetLatestSnapshot());
  Datum snapshot = PointerGetDatum(PG_DETOAST_DATUM_COPY(DirectFunctionCall1(pg_current_snapshot, 0)));
  const XLogRecPtr end = GetXLogInsertRecPtr();
  frame_.begin();
  record::Begin begin;
  begin.xid = BootstrapTransactionId;  // no transaction that writes has it
  begin.commit_time = GetCurrentTimestamp();
  begin.commit_lsn = end;
  begin.end_lsn = end + 1;
  append(begin);

  // Conditions, and functions of types, are the users' own: they run as the table's owner and can do nothing else.
  const int settings = NewGUCNestLevel();
  for (const char* off : {"row_security", "enable_seqscan", "enable_sort", "enable_bitmapscan"})
    set_config_option(off, "off", PGC_USERSET, PGC_S_SESSION, GUC_ACTION_SAVE, true, 0, false);
  SetUserIdAndSecContext(table_->rd_rel->relowner, security | SECURITY_RESTRICTED_OPERATION);
  Datum* values = nullptr;
  if (after) {
    const int pinned = pin_output_settings();
    values = read_key(after);
    unpin_output_settings(pinned);
  }
  Portal portal = SPI_cursor_open_with_args(nullptr, query(after != nullptr, rows_max, condition),
                                            after ? key_.count : 0, types, values, nullptr, true, CURSOR_OPT_NO_SCROLL);
  // After the query was planned: what it pins lasts until the rows are read.
  const int pinned = pin_output_settings();
  read_rows(portal, rows_max, bytes_max);
  unpin_output_settings(pinned);
  SPI_cursor_close(portal);
  SetUserIdAndSecContext(user, security);
  AtEOXact_GUC(false, settings);
  PopActiveSnapshot();

  record::Commit commit;
  commit.end_lsn = end + 1;
  commit.changes = changes_;
  commit.crc = frame_.checksum();
  frame_.append(commit);
  flush();
  Datum last[result_columns] = {Datum{0},
                                DirectFunctionCall1(pg_snapshot_out, snapshot),
                                LSNGetDatum(end),
                                Int64GetDatum(scanned_),
                                PointerGetDatum(upper_),
                                Datum{0},
                                Int32GetDatum(static_cast<int32>(GetWALInsertionTimeLine()))};
  last[1] = PointerGetDatum(cstring_to_text(DatumGetCString(last[1])));
  last[5] = PointerGetDatum(cstring_to_text(psprintf(UINT64_FORMAT, GetSystemIdentifier())));
  bool nulls[result_columns] = {true, false, false, false, upper_ == nullptr, false, false};
  tuplestore_putvalues(result->setResult, result->setDesc, last, nulls);
  SPI_finish();
}

}  // namespace
}  // namespace anabranch

ANABRANCH_EXPORTS_BEGIN
extern "C" {
PG_FUNCTION_INFO_V1(anabranch_read_content);
PG_FUNCTION_INFO_V1(anabranch_wait_for_writers);
}
ANABRANCH_EXPORTS_END

using namespace anabranch;

// read_content(relation oid, publication text, after bytea, rows_max int, bytes_max int, condition text, careful
// boolean, value_bytes_max int)
//   -> setof (frame bytea, snapshot text, lsn pg_lsn, scanned bigint, upper bytea, system_identifier text, timeline
//   int)
Datum anabranch_read_content(PG_FUNCTION_ARGS) {
  for (int argument : {0, 1, 3, 4, 6, 7})
    if (PG_ARGISNULL(argument))
      ereport(ERROR, (errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
                      errmsg("argument %d of anabranch.read_content must not be null", argument + 1)));
  auto* result = reinterpret_cast<ReturnSetInfo*>(fcinfo->resultinfo);
  InitMaterializedSRF(fcinfo, 0);
  if (RecoveryInProgress())
    ereport(ERROR, (errcode(ERRCODE_READ_ONLY_SQL_TRANSACTION),
                    errmsg("this server is a standby: its snapshots do not show which transactions are under way")));
  const Oid oid = PG_GETARG_OID(0);
  LockRelationOid(oid, AccessShareLock);
  if (!SearchSysCacheExists1(RELOID, ObjectIdGetDatum(oid)))
    ereport(ERROR, (errcode(ERRCODE_UNDEFINED_TABLE), errmsg("relation with OID %u does not exist", oid)));
  const char kind = get_rel_relkind(oid);
  if (kind != RELKIND_RELATION && kind != RELKIND_PARTITIONED_TABLE)
    ereport(ERROR, (errcode(ERRCODE_WRONG_OBJECT_TYPE), errmsg("\"%s\" is not a table", get_rel_name(oid))));
  if (kind == RELKIND_PARTITIONED_TABLE) find_all_inheritors(oid, AccessShareLock, nullptr);
  Relation table = table_open(oid, NoLock);
  Reading reading(table, text_to_cstring(PG_GETARG_TEXT_PP(1)), PG_GETARG_BOOL(6), PG_GETARG_INT32(7));
  reading.run(PG_ARGISNULL(2) ? nullptr : PG_GETARG_BYTEA_PP(2), PG_GETARG_INT32(3), PG_GETARG_INT32(4),
              PG_ARGISNULL(5) ? nullptr : text_to_cstring(PG_GETARG_TEXT_PP(5)), result);
  table_close(table, NoLock);
  return Datum{0};
}

// wait_for_writers(relation oid) -> void
Datum anabranch_wait_for_writers(PG_FUNCTION_ARGS) {
  ListCell* cell;
  foreach (cell, find_all_inheritors(PG_GETARG_OID(0), NoLock, nullptr)) {
    LOCKTAG tag;
    SET_LOCKTAG_RELATION(tag, MyDatabaseId, lfirst_oid(cell));
    WaitForLockers(tag, ShareLock, false);
  }
  PG_RETURN_VOID();
}
