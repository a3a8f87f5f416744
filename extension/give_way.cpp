// What a session that has time leaves to the others on its machine.
#include "extension/postgres.hpp"

extern "C" {
#include <fcntl.h>
#include <sys/resource.h>
#include <unistd.h>
}

namespace anabranch {
namespace {

// About a tenth of a core that somebody else wants. Not less: whoever waits for a lock that we hold waits with us.
constexpr int niceness = 10;
constexpr const char* niceness_text = "10";

// Linux shares a core among sessions first where it groups processes by them (CONFIG_SCHED_AUTOGROUP), and every
// backend has a session of its own (setsid): then it is the group that has to step back. See sched(7).
void step_back_among_groups() {
  const int file = open("/proc/self/autogroup", O_WRONLY | O_CLOEXEC);
  if (file < 0) return;  // it does not group
  if (write(file, niceness_text, strlen(niceness_text)) < 0)
    ereport(DEBUG1, (errmsg("could not lower the priority of this session: %m")));
  close(file);
}

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
    ereport(DEBUG1, (errmsg("could not lower the priority of this process: %m")));
  step_back_among_groups();
  set_config_option("max_parallel_workers_per_gather", "0", PGC_USERSET, PGC_S_SESSION, GUC_ACTION_SET, true, 0, false);
  PG_RETURN_VOID();
}
