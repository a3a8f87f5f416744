// Reading the documents of an index. Its view calls functions that users wrote, so it is read as the copy's owner.
#include "extension/postgres.hpp"

extern "C" {
#include <executor/tstoreReceiver.h>
#include <utils/queryenvironment.h>
}

#include "extension/apply.hpp"
#include "extension/settings.hpp"

namespace anabranch {
namespace {

constexpr int content_column = 5;  // of what a statement for documents returns

Oid owner_of(Oid relation) {
  HeapTuple tuple = SearchSysCache1(RELOID, ObjectIdGetDatum(relation));
  if (!HeapTupleIsValid(tuple))
    ereport(ERROR, (errcode(ERRCODE_UNDEFINED_TABLE), errmsg("relation with OID %u does not exist", relation)));
  const Oid owner = reinterpret_cast<Form_pg_class>(GETSTRUCT(tuple))->relowner;
  ReleaseSysCache(tuple);
  return owner;
}

// Takes documents up to a bound, so that nobody has to hold more of them in memory.
struct Documents {
  DestReceiver receiver;  // first: the executor knows no more
  Tuplestorestate* kept;
  int64 rows, bytes, bytes_max;
};

bool receive(TupleTableSlot* slot, DestReceiver* receiver) {
  auto* documents = reinterpret_cast<Documents*>(receiver);
  bool is_null;
  const Datum content = slot_getattr(slot, content_column, &is_null);
  if (!is_null) documents->bytes += static_cast<int64>(toast_raw_datum_size(content));
  if (++documents->rows > 1 && documents->bytes > documents->bytes_max)
    ereport(ERROR, (errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
                    errmsg("these documents have more than %lld bytes", static_cast<long long>(documents->bytes_max))));
  tuplestore_puttupleslot(documents->kept, slot);
  return true;
}

void begin_receiving(DestReceiver*, int, TupleDesc) {}
void end_receiving(DestReceiver*) {}

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

// read_documents(copy oid, wanted text, documents text, bytes_max bigint) -> setof record. For functions of our own,
// which have put the statements together.
Datum anabranch_read_documents(PG_FUNCTION_ARGS) {
  if (PG_ARGISNULL(0) || PG_ARGISNULL(2))
    ereport(ERROR, (errcode(ERRCODE_UNDEFINED_OBJECT), errmsg("there is no such index")));
  const Oid owner = owner_of(PG_GETARG_OID(0));
  const char* documents = text_to_cstring(PG_GETARG_TEXT_PP(2));
  InitMaterializedSRF(fcinfo, 0);
  auto* result = reinterpret_cast<ReturnSetInfo*>(fcinfo->resultinfo);
  Documents kept = {{receive, begin_receiving, end_receiving, end_receiving, DestTuplestore},
                    result->setResult,
                    0,
                    0,
                    PG_GETARG_INT64(3)};
  SPI_connect();
  if (!PG_ARGISNULL(1)) {
    const char* wanted = text_to_cstring(PG_GETARG_TEXT_PP(1));
    register_rows("wanted", columns_of(wanted), run(wanted));
  }
  as_user(owner, [&] {
    const int settings = pin_output_settings();
    use_indexes();
    run_into(documents, &kept.receiver);
    unpin_output_settings(settings);
  });
  SPI_finish();
  return (Datum)0;
}
