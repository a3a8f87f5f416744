// Sessions with the home database: how they are opened, what the server must be, how its log is read.
#pragma once

#include "sidecar/apply/session.hpp"
#include "sidecar/log/kafka_log.hpp"
#include "sidecar/log/slot_log.hpp"
#include "sidecar/pg/connection.hpp"
#include "sidecar/run.hpp"

namespace anabranch {

// What sessions with the home database are opened with.
ConnectOptions home_options(const RunSettings& settings);

// Throws RunError where the server is not prepared: a standby, the wrong wal_level, our plugin not allowed.
void check_server(Connection& connection);

// How the source's slot is read, or, with its name in place of that one's, another of the source; `connect` is how its
// session is opened.
SlotLogOptions slot_log_options(const RunSettings& settings, ConnectOptions connect);

// How the source's topics are read, those of the server that `session` knows the source by. The settings must name
// Kafka.
KafkaLogOptions kafka_log_options(const RunSettings& settings, Session& session);

}  // namespace anabranch
