// How the sidecar's threads begin.
#pragma once

#include <functional>
#include <thread>

namespace anabranch {

// Begins a thread that signals are not delivered to: they are for the thread that waits for them. `name`, of at most 15
// characters, is what the system's tools show. Throws std::system_error.
std::thread start_thread(const char* name, std::function<void()> body);

}  // namespace anabranch
