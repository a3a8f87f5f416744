// `anabranch check`.
#pragma once

#include "sidecar/cli/finding.hpp"
#include "sidecar/cli/settings.hpp"

namespace anabranch {

// Examines what a run needs without running: connection, server, rights, slot, copies. Prints what it found to stdout,
// changes nothing. Returns the exit code: 0 a run would work, 1 it would not.
int check(const Settings& settings);

// The findings alone, in the order they were made. Never throws PgError: what the server refuses is a finding.
std::vector<Finding> examine(const Settings& settings);

}  // namespace anabranch
