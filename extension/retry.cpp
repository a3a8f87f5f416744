#include "extension/retry.hpp"

extern "C" {
#include <access/xact.h>
#include <utils/resowner.h>
}

namespace anabranch {
namespace {

constexpr int attempts_max = 10;
constexpr const char* lock_timeout = "500ms";
constexpr long pause_us = 200'000;

// True when done, false when the lock was not to be had.
bool attempt(const char* statement) {
  MemoryContext context = CurrentMemoryContext;
  ResourceOwner owner = CurrentResourceOwner;
  volatile bool done = false;
  BeginInternalSubTransaction(nullptr);
  MemoryContextSwitchTo(context);
  PG_TRY();
  {
    const int level = NewGUCNestLevel();
    set_config_option("lock_timeout", lock_timeout, PGC_USERSET, PGC_S_SESSION, GUC_ACTION_SAVE, true, 0, false);
    SPI_connect();
    const int result = SPI_execute(statement, false, 0);
    if (result < 0) elog(ERROR, "could not execute \"%s\": %s", statement, SPI_result_code_string(result));
    SPI_finish();
    AtEOXact_GUC(false, level);
    ReleaseCurrentSubTransaction();
    MemoryContextSwitchTo(context);
    CurrentResourceOwner = owner;
    done = true;
  }
  PG_CATCH();
  {
    MemoryContextSwitchTo(context);
    ErrorData* error = CopyErrorData();
    if (error->sqlerrcode != ERRCODE_LOCK_NOT_AVAILABLE) PG_RE_THROW();
    FlushErrorState();
    FreeErrorData(error);
    RollbackAndReleaseCurrentSubTransaction();
    MemoryContextSwitchTo(context);
    CurrentResourceOwner = owner;
  }
  PG_END_TRY();
  return done;
}

}  // namespace

void execute_with_retries(const char* statement, Oid table) {
  for (int i = 0; i < attempts_max; i++) {
    if (attempt(statement)) return;
    CHECK_FOR_INTERRUPTS();
    pg_usleep(pause_us);
  }
  ereport(ERROR, (errcode(ERRCODE_LOCK_NOT_AVAILABLE),
                  errmsg("could not lock table \"%s\" in %d attempts", get_rel_name(table), attempts_max),
                  errdetail("Another transaction has been using it all the time."),
                  errhint("Run %s when it is less busy, then repeat.", statement)));
}

}  // namespace anabranch
