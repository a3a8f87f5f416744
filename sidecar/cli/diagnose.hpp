// What a refused connection or statement means, and what to do about it.
#pragma once

#include "sidecar/cli/finding.hpp"
#include "sidecar/cli/settings.hpp"
#include "sidecar/pg/connection.hpp"

namespace anabranch {

// What was attempted when the error came.
enum class Attempt { connection, replication_connection, statement };

// A critical finding (unknown severity where the server could not be asked) for `error`, with the remedy. Never holds a
// secret.
Finding diagnose(const PgError& error, Attempt attempt, const Settings& settings);

// Options for a session of this program with the home database.
ConnectOptions connect_options(const Settings& settings, const std::string& application_name);

}  // namespace anabranch
