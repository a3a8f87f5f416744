// SIGINT and SIGTERM as a request to stop.
#pragma once

#include "sidecar/stop.hpp"

namespace anabranch {

// From now on SIGINT and SIGTERM request this Stop, and a broken pipe is an error of the write. The Stop lives as long
// as the process: a late signal finds it there.
Stop& stop_on_signals();

// Has `handler` called for the signal; system calls it interrupts go on.
void handle_signal(int signal, void (*handler)(int));

}  // namespace anabranch
