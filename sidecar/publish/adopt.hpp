// Topics change hands: `anabranch adopt`.
#pragma once

#include <string>

#include "sidecar/run.hpp"

namespace anabranch {

// Takes the topics over for this server, slot and instance, after a clone, a restore, pg_upgrade or a gap that somebody
// has made good: fences the publisher before it, writes P under the new identity at the slot's position, and marks in
// the topic of transactions that what lies between is not there. Publishing must not run here. Returns what it did, for
// people; throws RunError, PgError.
std::string adopt(const RunSettings& settings);

}  // namespace anabranch
