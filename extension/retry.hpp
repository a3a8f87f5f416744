// Short, repeated attempts at what needs a strong lock, so that nobody queues behind us for long.
#pragma once

#include "extension/postgres.hpp"

namespace anabranch {

/// Runs a utility statement through SPI, as the current user. Each of a few attempts waits for its lock half a second
/// at most; raises lock_not_available after the last, naming `table`.
void execute_with_retries(const char* statement, Oid table);

}  // namespace anabranch
