// `anabranch run`, and `anabranch adopt`.
#pragma once

#include "sidecar/cli/command_line.hpp"
#include "sidecar/run.hpp"

namespace anabranch {

// Runs until SIGTERM or SIGINT: then finishes the batch under way and returns 0. SIGHUP reads the settings file again;
// a file with mistakes is logged and changes nothing. Returns RunError::exit_code() where a run cannot go on: 1 the
// server or the role is not prepared, 3 another sidecar has taken over, 4 the log has lost what copies needed.
int run_until_stopped(const CommandLine& command_line, const Settings& settings);

// `anabranch adopt`: prints what it did; 0, or RunError::exit_code(). Throws PgError.
int adopt_topics(const Settings& settings);

// The settings as run() takes them.
RunSettings run_settings_of(const Settings& settings);

}  // namespace anabranch
