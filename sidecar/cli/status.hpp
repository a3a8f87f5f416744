// `anabranch status`.
#pragma once

#include "sidecar/cli/command_line.hpp"
#include "sidecar/cli/finding.hpp"

namespace anabranch {

// Looks at the home database and prints what it saw to stdout. With --watch again and again, until SIGINT or SIGTERM.
// Returns the exit code: a Severity's number; unknown where the server could not be asked. Throws only what is no
// PgError.
int status(const Settings& settings, const StatusOptions& options);

}  // namespace anabranch
