// Sessions with the home database: how they are opened, what the server must be, how its slot is read.
#pragma once

#include "sidecar/log/slot_log.hpp"
#include "sidecar/pg/connection.hpp"
#include "sidecar/run.hpp"
#include "sidecar/stop.hpp"

namespace anabranch {

// What sessions with the home database are opened with.
ConnectOptions home_options(const RunSettings& settings);

// Throws RunError where the server is not prepared: a standby, the wrong wal_level, our plugin not allowed.
void check_server(Connection& connection);

// How the source's slot is read; `application_name` is what the server shows of it. `stop` ends its waits and must
// outlive the log.
SlotLogOptions slot_log_options(const RunSettings& settings, const std::string& application_name, const Stop& stop);

}  // namespace anabranch
