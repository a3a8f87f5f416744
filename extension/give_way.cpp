// What a session that has time leaves to the others on its machine.
#include "extension/postgres.hpp"

extern "C" {
#include <sys/resource.h>
}

namespace anabranch {
namespace {

// Nine parts in ten of a core that somebody else wants. Not less: whoever waits for a lock that we hold waits with us.
constexpr int niceness = 10;

}  // namespace
}  // namespace anabranch

ANABRANCH_EXPORTS_BEGIN
extern "C" {
PG_FUNCTION_INFO_V1(anabranch_give_way);
}
ANABRANCH_EXPORTS_END

using namespace anabranch;

// give_way() -> void. A process cannot take back what it gave, so it is for the rest of the session.
Datum anabranch_give_way(PG_FUNCTION_ARGS) {
  if (getpriority(PRIO_PROCESS, 0) < niceness && setpriority(PRIO_PROCESS, 0, niceness) != 0)
    ereport(WARNING, (errmsg("could not lower the priority of this process: %m")));
  set_config_option("max_parallel_workers_per_gather", "0", PGC_USERSET, PGC_S_SESSION, GUC_ACTION_SET, true, 0, false);
  PG_RETURN_VOID();
}
