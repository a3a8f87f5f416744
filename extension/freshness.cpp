// Reading one's own writes, and refusing old data: wait_for, is_fresh, assert_fresh.
//
// A copy's position is committed with its contents. So a reader who has seen the position has its contents too, in
// every snapshot taken from then on; a wait is a look at two rows, again and again, each time in a new snapshot.
//
// Anybody may call these functions. They read the catalog below the level where rights are checked, and tell nothing
// about a copy that the caller may not read.
#include "extension/postgres.hpp"

extern "C" {
#include <access/relscan.h>
#include <access/tableam.h>
#include <access/xlog.h>
#include <access/xlogrecovery.h>
#include <catalog/pg_class.h>
#include <common/int.h>
#include <pgstat.h>
#include <replication/message.h>
#include <storage/latch.h>
#include <utils/acl.h>
#include <utils/fmgroids.h>
#include <utils/rel.h>
#include <utils/timestamp.h>
}

#include "extension/error_codes.hpp"

namespace anabranch {
namespace {

constexpr long kPollMsMin = 1;
constexpr long kPollMsMax = 10;
constexpr long kProbeMsMax = 1000;  // how long assert_fresh waits for the answer of an idle stream

// How far a copy is, as one snapshot shows it. The strings live in the current memory context.
struct Progress {
  const char* state = "unbound";
  const char* requested = "run";
  const char* reason = nullptr;
  XLogRecPtr lsn = InvalidXLogRecPtr;
  TimestampTz current_as_of = DT_NOBEGIN;  // everything committed before is in the copy, while it is live

  bool is(const char* name) const { return strcmp(state, name) == 0; }
  bool reached(XLogRecPtr target) const { return is("live") && lsn >= target; }
};

// One row of a table of ours, found by its primary key.
class Row {
 public:
  // Backwards through the index: among many versions of one key the newest stands last (see places.hpp).
  bool find(const char* table, Oid equality, Datum key, Snapshot snapshot) {
    relation_ = table_open(get_relname_relid(table, get_namespace_oid("anabranch", false)), AccessShareLock);
    index_ = index_open(RelationGetPrimaryKeyIndex(relation_, false), AccessShareLock);
    ScanKeyData condition;
    ScanKeyEntryInitialize(&condition, 0, 1, BTEqualStrategyNumber, InvalidOid, index_->rd_indcollation[0], equality,
                           key);
    scan_ = index_beginscan(relation_, index_, snapshot, nullptr, 1, 0);
    index_rescan(scan_, &condition, 1, nullptr, 0);
    slot_ = table_slot_create(relation_, nullptr);
    return index_getnext_slot(scan_, BackwardScanDirection, slot_);
  }

  // False for NULL.
  bool get(const char* column, Datum* value) {
    bool is_null;
    *value = slot_getattr(slot_, get_attnum(RelationGetRelid(relation_), column), &is_null);
    return !is_null;
  }

  const char* string_at(const char* column) {
    Datum value;
    return get(column, &value) ? TextDatumGetCString(value) : nullptr;
  }

  XLogRecPtr lsn_at(const char* column) {
    Datum value;
    return get(column, &value) ? DatumGetLSN(value) : InvalidXLogRecPtr;
  }

  TimestampTz time_at(const char* column) {
    Datum value;
    return get(column, &value) ? DatumGetTimestampTz(value) : DT_NOBEGIN;
  }

  void close() {
    ExecDropSingleTupleTableSlot(slot_);
    index_endscan(scan_);
    index_close(index_, AccessShareLock);
    table_close(relation_, AccessShareLock);
  }

 private:
  Relation relation_;
  Relation index_;
  IndexScanDesc scan_;
  TupleTableSlot* slot_;
};

// What the engine of an index outside the database has of its copy. Restored from a dump, nothing is known of it.
Progress of_engine(Progress progress, Oid copy, Snapshot snapshot) {
  Row index;
  if (index.find("index_progress", F_OIDEQ, ObjectIdGetDatum(copy), snapshot)) {
    Datum filled;
    if (index.get("filled", &filled) && DatumGetInt32(filled) == 0) progress.state = "filling";
    progress.reason = index.string_at("problem");
    progress.lsn = Min(progress.lsn, index.lsn_at("lsn"));
    progress.current_as_of = Min(progress.current_as_of, index.time_at("as_of"));
  } else {
    progress.state = "unbound";
  }
  index.close();
  return progress;
}

Progress read_progress(Oid copy, Snapshot snapshot) {
  Progress progress;
  Row definition, own, source, heartbeat;
  if (!definition.find("definition", F_OIDEQ, ObjectIdGetDatum(copy), snapshot))
    ereport(ERROR,
            (errcode(ERRCODE_WRONG_OBJECT_TYPE), errmsg("\"%s\" is not a copy made by anabranch", get_rel_name(copy))));
  progress.requested = definition.string_at("requested");
  definition.close();

  if (own.find("progress", F_OIDEQ, ObjectIdGetDatum(copy), snapshot)) {
    progress.state = own.string_at("state");
    progress.reason = own.string_at("reason");
    progress.lsn = own.lsn_at("lsn");
  }
  own.close();
  if (!progress.is("live")) return progress;

  const Datum home = CStringGetTextDatum("home");
  XLogRecPtr applied = InvalidXLogRecPtr;
  if (source.find("source", F_TEXTEQ, home, snapshot)) {
    applied = source.lsn_at("lsn");
    progress.current_as_of = source.time_at("commit_time");
  }
  source.close();
  // As the view anabranch.sources has it.
  if (heartbeat.find("heartbeat", F_TEXTEQ, home, snapshot)) {
    const XLogRecPtr mark = heartbeat.lsn_at("mark_lsn");
    const bool passed = mark != InvalidXLogRecPtr && applied >= mark;
    progress.current_as_of = Max(progress.current_as_of, heartbeat.time_at(passed ? "marked_at" : "passed_at"));
  }
  heartbeat.close();
  progress.lsn = Max(progress.lsn, applied);

  Row external;
  if (external.find("external_index", F_OIDEQ, ObjectIdGetDatum(copy), snapshot))
    progress = of_engine(progress, copy, snapshot);
  external.close();
  return progress;
}

// For a reader whose next statement may see more than this one.
Progress read_latest_progress(Oid copy) {
  Snapshot snapshot = RegisterSnapshot(GetLatestSnapshot());
  Progress progress = read_progress(copy, snapshot);
  UnregisterSnapshot(snapshot);
  return progress;
}

// The caller must be allowed to read the copy.
void require_readable(Oid copy) {
  if (!SearchSysCacheExists1(RELOID, ObjectIdGetDatum(copy)))
    ereport(ERROR, (errcode(ERRCODE_UNDEFINED_TABLE), errmsg("relation with OID %u does not exist", copy)));
  const AclResult result = pg_class_aclcheck(copy, GetUserId(), ACL_SELECT);
  if (result != ACLCHECK_OK) aclcheck_error(result, OBJECT_VIEW, get_rel_name(copy));
}

// Nothing will bring such a copy further while one waits.
bool stands_still(const Progress& progress) {
  return progress.is("unbound") || progress.is("failed") || progress.is("stale") ||
         (progress.is("paused") && strcmp(progress.requested, "pause") == 0);
}

const char* copy_name(Oid copy) {
  return quote_qualified_identifier(get_namespace_name(get_rel_namespace(copy)), get_rel_name(copy));
}

[[noreturn]] void raise_standing_still(Oid copy, const Progress& progress, int code) {
  ereport(ERROR, (errcode(code), errmsg("copy %s is %s", copy_name(copy), progress.state),
                  progress.reason != nullptr ? errdetail("%s", progress.reason) : 0,
                  errhint("Its owner can set it going with SELECT anabranch.resume(%s).",
                          quote_literal_cstr(copy_name(copy)))));
}

// A position that every transaction committed so far lies before, and that the stream will reach even when nobody
// writes.
XLogRecPtr mark_present() {
  if (RecoveryInProgress()) return GetXLogReplayRecPtr(nullptr);
  LogLogicalMessage("anabranch", "", 0, false, true);
  // The message's start: whatever ends before it was committed before it.
  return ProcLastRecPtr;
}

const char* printed(XLogRecPtr lsn) {
  return psprintf("%X/%X", static_cast<uint32>(lsn >> 32), static_cast<uint32>(lsn));
}

// Sleeps a little longer each time, and lets an interrupt through.
void nap(long* nap_ms, long nap_ms_most) {
  WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH, Min(*nap_ms, nap_ms_most), PG_WAIT_EXTENSION);
  ResetLatch(MyLatch);
  CHECK_FOR_INTERRUPTS();
  *nap_ms = Min(*nap_ms * 2, kPollMsMax);
}

// Of an argument that must not be negative. More than a hundred thousand years are as long as that.
int64 microseconds(const char* name, const Interval* interval) {
  constexpr int64 most = PG_INT64_MAX / 3;
  const int64 days = static_cast<int64>(interval->month) * DAYS_PER_MONTH + interval->day;
  int64 result;
  if (pg_mul_s64_overflow(days, USECS_PER_DAY, &result) || pg_add_s64_overflow(result, interval->time, &result))
    result = days < 0 ? -most : most;
  if (result < 0) ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE), errmsg("%s must not be negative", name)));
  return Min(result, most);
}

// How far the server is: nothing can be further.
XLogRecPtr present() {
  return RecoveryInProgress() ? GetXLogReplayRecPtr(nullptr) : GetXLogInsertRecPtr();
}

// Where a copy is that has not reached `target`.
int explain_distance(const Progress& progress, XLogRecPtr target) {
  if (progress.lsn == InvalidXLogRecPtr) return errdetail("It is %s and has no position yet.", progress.state);
  if (target > present())
    return errdetail("It is %s at %s, and the server's WAL ends at %s, before the position asked for.", progress.state,
                     printed(progress.lsn), printed(present()));
  return errdetail("It is %s at %s, %llu bytes of WAL behind%s%s.", progress.state, printed(progress.lsn),
                   static_cast<unsigned long long>(target > progress.lsn ? target - progress.lsn : 0),
                   progress.reason == nullptr ? "" : ": ", progress.reason == nullptr ? "" : progress.reason);
}

}  // namespace
}  // namespace anabranch

ANABRANCH_EXPORTS_BEGIN
extern "C" {
PG_FUNCTION_INFO_V1(anabranch_wait_for);
PG_FUNCTION_INFO_V1(anabranch_is_fresh);
PG_FUNCTION_INFO_V1(anabranch_assert_fresh);
}
ANABRANCH_EXPORTS_END

using namespace anabranch;

// wait_for(copy regclass, lsn pg_lsn DEFAULT NULL, timeout interval DEFAULT '10 s') -> pg_lsn
//
// Returns the copy's position as soon as it has reached `lsn`; NULL means all that is committed now.
Datum anabranch_wait_for(PG_FUNCTION_ARGS) {
  if (PG_ARGISNULL(0) || PG_ARGISNULL(2))
    ereport(ERROR, (errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED), errmsg("copy and timeout must not be null")));
  const Oid copy = PG_GETARG_OID(0);
  const TimestampTz deadline = GetCurrentTimestamp() + microseconds("timeout", PG_GETARG_INTERVAL_P(2));
  require_readable(copy);
  if (IsolationUsesXactSnapshot())
    ereport(ERROR, (errcode(ERRCODE_ACTIVE_SQL_TRANSACTION), errmsg("wait_for needs isolation level READ COMMITTED"),
                    errdetail("A transaction that keeps its snapshot would not see what it has waited for.")));
  if (PG_ARGISNULL(1) && TransactionIdIsValid(GetTopTransactionIdIfAny()))
    ereport(ERROR, (errcode(ERRCODE_ACTIVE_SQL_TRANSACTION),
                    errmsg("this transaction has written, and its changes reach the copy only after it has ended"),
                    errhint("Call wait_for after COMMIT.")));

  const XLogRecPtr target = PG_ARGISNULL(1) ? mark_present() : PG_GETARG_LSN(1);
  MemoryContext poll = AllocSetContextCreate(CurrentMemoryContext, "anabranch wait_for", ALLOCSET_SMALL_SIZES);
  MemoryContext outside = MemoryContextSwitchTo(poll);
  long nap_ms = kPollMsMin;
  for (;;) {
    MemoryContextReset(poll);
    const Progress progress = read_latest_progress(copy);
    if (progress.reached(target)) {
      MemoryContextSwitchTo(outside);
      PG_RETURN_LSN(progress.lsn);
    }
    if (stands_still(progress)) raise_standing_still(copy, progress, progress.is("stale") ? kStale : kWrongState);
    const TimestampTz now = GetCurrentTimestamp();
    if (now >= deadline)
      ereport(ERROR,
              (errcode(kWaitTimeout), errmsg("copy %s has not reached %s in time", copy_name(copy), printed(target)),
               explain_distance(progress, target),
               errhint("SELECT * FROM anabranch.status tells what holds it up; a longer timeout is the last argument "
                       "of wait_for.")));
    nap(&nap_ms, (deadline - now) / 1000 + 1);
  }
}

// is_fresh(copy regclass, lsn pg_lsn) -> boolean: whether what this statement sees of the copy holds all up to `lsn`.
Datum anabranch_is_fresh(PG_FUNCTION_ARGS) {
  const Oid copy = PG_GETARG_OID(0);
  require_readable(copy);
  PG_RETURN_BOOL(read_progress(copy, GetActiveSnapshot()).reached(PG_GETARG_LSN(1)));
}

// assert_fresh(copy regclass, bound interval) -> void
//
// Raises AN006 unless the copy holds all that was committed more than `bound` ago. Where nothing was written for
// longer, the stream is asked with a message, and has a second to answer.
Datum anabranch_assert_fresh(PG_FUNCTION_ARGS) {
  // A check that NULL passes would be none.
  if (PG_ARGISNULL(0) || PG_ARGISNULL(1))
    ereport(ERROR, (errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED), errmsg("copy and bound must not be null")));
  const Oid copy = PG_GETARG_OID(0);
  const int64 bound = microseconds("bound", PG_GETARG_INTERVAL_P(1));
  require_readable(copy);

  const TimestampTz start = GetCurrentTimestamp();
  Progress progress = read_progress(copy, GetActiveSnapshot());
  const bool may_ask = progress.is("live") && !IsolationUsesXactSnapshot() && !RecoveryInProgress() && bound > 0;
  XLogRecPtr target = InvalidXLogRecPtr;
  long nap_ms = kPollMsMin;
  while (progress.is("live")) {
    if (progress.current_as_of >= start - bound || (target != InvalidXLogRecPtr && progress.reached(target)))
      PG_RETURN_VOID();
    if (!may_ask || GetCurrentTimestamp() >= start + Min(bound, kProbeMsMax * 1000)) break;
    if (target == InvalidXLogRecPtr) target = mark_present();
    nap(&nap_ms, kPollMsMax);
    progress = read_latest_progress(copy);
  }
  ereport(ERROR, (errcode(kNotFresh), errmsg("copy %s is older than allowed", copy_name(copy)),
                  !progress.is("live") ? errdetail("It is %s.", progress.state)
                  : TIMESTAMP_NOT_FINITE(progress.current_as_of)
                      ? errdetail("It has just become live: nothing is known about its age yet.")
                      : errdetail("It is current as of %s.", timestamptz_to_str(progress.current_as_of)),
                  errhint("SELECT * FROM anabranch.status tells what holds it up.")));
}
