// The line of history that a server is on: after a failover or a restore it may lack what it once had.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "sidecar/pg/connection.hpp"
#include "sidecar/pg/lsn.hpp"

namespace anabranch {

struct ServerHistory {
  std::string system_identifier;
  uint32_t timeline = 0;
  Lsn flushed;  // end of the server's flushed WAL
  // Where the timeline that was asked for was left; nullopt: not known, or the same.
  std::optional<Lsn> switched_at;
};

// Asks the server, in a session of its own. `timeline`: an earlier one that somebody remembers; 0: none. Throws
// PgError.
ServerHistory server_history(ConnectOptions options, uint32_t timeline);

// Why the server never had all of what reaches to `reached` on `timeline`; nullopt: it had.
std::optional<std::string> missing_history(const ServerHistory& server, Lsn reached, uint32_t timeline);

}  // namespace anabranch
