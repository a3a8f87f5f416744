// Reading the documents of an index. Its view calls functions that users wrote, so it is read as the copy's owner.
#include "extension/postgres.hpp"

#include <utility>

extern "C" {
#include <common/md5.h>
#include <executor/tstoreReceiver.h>
#include <utils/datum.h>
#include <utils/queryenvironment.h>
}

#include "extension/apply.hpp"
#include "extension/row_json.hpp"
#include "extension/settings.hpp"

namespace anabranch {
namespace {

// Columns of a statement for documents. Those of the key follow, then those that make the contents.
enum StatementColumn { in_id, in_target, in_member, in_there, in_key };
// Columns of what is returned.
enum ResultColumn { out_key, out_id, out_target, out_member, out_content, out_digest, out_rows, out_columns };

constexpr int md5_digits = 32;

// Takes rows, and returns one for each key: rows of one key follow each other. Up to a bound of bytes, so that nobody
// has to hold more of them in memory.
struct Documents {
  DestReceiver receiver;  // first: the executor knows no more
  ReturnSetInfo* result;
  const char* form;  // of the contents: json (with a digest), hash, text or none
  int keys;
  int64 rows_max;  // of one behind only its key is looked at: whether it is that of the row before
  int64 bytes_max;

  RowJson key, content;
  bool is_text, with_digests;

  int64 rows, contents, bytes;
  // The row that is held back until the next has another key, in memory of its own.
  MemoryContext held_context;
  int64 held_rows;  // of its key; 0: there is none
  bool held_key_has_null;
  // Keys as text, in memory of the call.
  StringInfoData held_key, next_key;
  Datum values[out_columns];
  bool nulls[out_columns];
};

Oid owner_of(Oid relation) {
  HeapTuple tuple = SearchSysCache1(RELOID, ObjectIdGetDatum(relation));
  if (!HeapTupleIsValid(tuple))
    ereport(ERROR, (errcode(ERRCODE_UNDEFINED_TABLE), errmsg("relation with OID %u does not exist", relation)));
  const Oid owner = reinterpret_cast<Form_pg_class>(GETSTRUCT(tuple))->relowner;
  ReleaseSysCache(tuple);
  return owner;
}

void describe(Documents* documents, TupleDesc description) {
  documents->key = make_row_json(description, in_key, documents->keys, RowJsonForm::key);
  const int first = in_key + documents->keys;
  const bool strings = strcmp(documents->form, "hash") == 0;
  documents->is_text = strcmp(documents->form, "text") == 0;
  documents->with_digests = strcmp(documents->form, "json") == 0;
  if (strings || documents->with_digests)
    documents->content = make_row_json(description, first, description->natts - first,
                                       strings ? RowJsonForm::strings : RowJsonForm::values);
}

void begin_receiving(DestReceiver* receiver, int, TupleDesc description) {
  describe(reinterpret_cast<Documents*>(receiver), description);
}

void end_receiving(DestReceiver*) {}

void return_held(Documents* documents) {
  if (documents->held_rows == 0) return;
  documents->values[out_rows] = Int64GetDatum(documents->held_rows);
  tuplestore_putvalues(documents->result->setResult, documents->result->setDesc, documents->values, documents->nulls);
  documents->held_rows = 0;
}

void set_text(Documents* documents, ResultColumn column, const char* text, int size) {
  documents->values[column] = PointerGetDatum(cstring_to_text_with_len(text, size));
  documents->nulls[column] = false;
}

void set_content(Documents* documents, const TupleTableSlot* slot) {
  if (slot->tts_isnull[in_there]) return;
  const int first = in_key + documents->keys;
  StringInfoData content;
  initStringInfo(&content);
  if (documents->content.columns != nullptr) {
    append_row_json(&content, documents->content, slot->tts_values, slot->tts_isnull);
  } else if (documents->is_text) {
    if (slot->tts_isnull[first]) return;
    appendStringInfoString(&content, TextDatumGetCString(slot->tts_values[first]));
  }
  set_text(documents, out_content, content.data, content.len);
  if (documents->with_digests) {
    char digest[md5_digits + 1];
    const char* problem = nullptr;
    if (!pg_md5_hash(content.data, content.len, digest, &problem))
      ereport(ERROR, (errcode(ERRCODE_INTERNAL_ERROR), errmsg("could not compute a digest: %s", problem)));
    set_text(documents, out_digest, digest, md5_digits);
  }
  ++documents->contents;
  documents->bytes += content.len;
}

bool has_null_key(const Documents* documents, const TupleTableSlot* slot) {
  for (int number = 0; number < documents->keys; ++number)
    if (slot->tts_isnull[in_key + number]) return true;
  return false;
}

// A key with a NULL is nobody else's.
bool has_held_key(const Documents* documents, bool has_null) {
  const StringInfoData& next = documents->next_key;
  const StringInfoData& held = documents->held_key;
  return documents->held_rows > 0 && !has_null && !documents->held_key_has_null && next.len == held.len &&
         memcmp(next.data, held.data, next.len) == 0;
}

void hold(Documents* documents, const TupleTableSlot* slot) {
  memset(documents->nulls, true, sizeof(documents->nulls));
  documents->nulls[out_rows] = false;
  constexpr int texts[][2] = {{in_id, out_id}, {in_target, out_target}, {in_member, out_member}};
  for (const auto [in, out] : texts) {
    documents->nulls[out] = slot->tts_isnull[in];
    if (!slot->tts_isnull[in]) documents->values[out] = datumCopy(slot->tts_values[in], false, -1);
  }
  set_text(documents, out_key, documents->held_key.data, documents->held_key.len);
  set_content(documents, slot);
  documents->held_rows = 1;
}

bool receive(TupleTableSlot* slot, DestReceiver* receiver) {
  auto* documents = reinterpret_cast<Documents*>(receiver);
  slot_getallattrs(slot);
  ++documents->rows;
  MemoryContext caller = MemoryContextSwitchTo(documents->held_context);
  resetStringInfo(&documents->next_key);
  append_row_json(&documents->next_key, documents->key, slot->tts_values, slot->tts_isnull);
  const bool has_null = has_null_key(documents, slot);
  if (has_held_key(documents, has_null)) {
    ++documents->held_rows;
  } else {
    return_held(documents);
    MemoryContextReset(documents->held_context);
    std::swap(documents->held_key, documents->next_key);
    documents->held_key_has_null = has_null;
    if (documents->rows <= documents->rows_max) hold(documents, slot);
  }
  MemoryContextSwitchTo(caller);
  if (documents->contents > 1 && documents->bytes > documents->bytes_max)
    ereport(ERROR, (errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
                    errmsg("these documents have more than %lld bytes", static_cast<long long>(documents->bytes_max))));
  return true;
}

Tuplestorestate* run(const char* statement) {
  Tuplestorestate* rows = tuplestore_begin_heap(false, false, work_mem);
  DestReceiver* receiver = CreateTuplestoreDestReceiver();
  SetTuplestoreDestReceiverParams(receiver, rows, CurrentMemoryContext, false, nullptr, nullptr);
  run_into(statement, receiver);
  receiver->rDestroy(receiver);
  return rows;
}

TupleDesc columns_of(const char* statement) {
  SPIPlanPtr plan = SPI_prepare(statement, 0, nullptr);
  if (plan == nullptr) elog(ERROR, "could not prepare \"%s\": %s", statement, SPI_result_code_string(SPI_result));
  CachedPlanSource* source = static_cast<CachedPlanSource*>(linitial(SPI_plan_get_plan_sources(plan)));
  TupleDesc description = CreateTupleDescCopy(source->resultDesc);
  SPI_freeplan(plan);
  return description;
}

// Keys are few and indexed, whatever is known of the table's size.
void use_indexes() {
  for (const char* way : {"enable_seqscan", "enable_hashjoin", "enable_mergejoin"})
    set_config_option(way, "off", PGC_USERSET, PGC_S_SESSION, GUC_ACTION_SAVE, true, 0, false);
}

}  // namespace
}  // namespace anabranch

ANABRANCH_EXPORTS_BEGIN
extern "C" {
PG_FUNCTION_INFO_V1(anabranch_read_documents);
}
ANABRANCH_EXPORTS_END

using namespace anabranch;

// read_documents(copy oid, wanted text, documents text, form text, keys int, rows_max int, bytes_max bigint) -> setof
// record. For functions of our own, which have put the statements together.
Datum anabranch_read_documents(PG_FUNCTION_ARGS) {
  if (PG_ARGISNULL(0) || PG_ARGISNULL(2))
    ereport(ERROR, (errcode(ERRCODE_UNDEFINED_OBJECT), errmsg("there is no such index")));
  const Oid owner = owner_of(PG_GETARG_OID(0));
  const char* statement = text_to_cstring(PG_GETARG_TEXT_PP(2));
  InitMaterializedSRF(fcinfo, 0);
  Documents documents = {};
  documents.receiver = {receive, begin_receiving, end_receiving, end_receiving, DestTuplestore};
  documents.result = reinterpret_cast<ReturnSetInfo*>(fcinfo->resultinfo);
  documents.form = text_to_cstring(PG_GETARG_TEXT_PP(3));
  documents.keys = PG_GETARG_INT32(4);
  documents.rows_max = PG_ARGISNULL(5) ? PG_INT64_MAX : PG_GETARG_INT32(5);
  documents.bytes_max = PG_GETARG_INT64(6);
  initStringInfo(&documents.held_key);
  initStringInfo(&documents.next_key);
  documents.held_context = AllocSetContextCreate(CurrentMemoryContext, "anabranch document", ALLOCSET_DEFAULT_SIZES);
  SPI_connect();
  if (!PG_ARGISNULL(1)) {
    const char* wanted = text_to_cstring(PG_GETARG_TEXT_PP(1));
    register_rows("wanted", columns_of(wanted), run(wanted));
  }
  as_user(owner, [&] {
    const int settings = pin_output_settings();
    use_indexes();
    run_into(statement, &documents.receiver);
    return_held(&documents);
    unpin_output_settings(settings);
  });
  SPI_finish();
  return (Datum)0;
}
