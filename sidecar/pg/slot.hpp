// Replication slots, as an SQL session sees them.
#pragma once

#include <optional>
#include <string>

#include "sidecar/pg/connection.hpp"
#include "sidecar/pg/lsn.hpp"
#include "sidecar/stop.hpp"

namespace anabranch {

// What a slot says of itself.
struct SlotState {
  Lsn confirmed;      // what it has let go of
  bool lost = false;  // the server has removed WAL that it needs
};

// nullopt: there is no such slot. Throws PgError.
std::optional<SlotState> read_slot(Connection& connection, const std::string& slot);

// Drops it, if it is there. Somebody may still read it: the walsender that used it last needs a moment to go. With
// `stop` that is waited for, for some seconds (throws Interrupted when stopped); in the end, and without `stop` at
// once, it is a PgError with SQLSTATE 55006.
void drop_slot(Connection& connection, const std::string& slot, const Stop* stop = nullptr);

}  // namespace anabranch
