#include "sidecar/cli/stop_signals.hpp"

#include <csignal>

namespace anabranch {
namespace {

// What the signal handler reaches.
Stop* stop_on_signal = nullptr;

void on_stop_signal(int) {
  stop_on_signal->request();
}

}  // namespace

void handle_signal(int signal, void (*handler)(int)) {
  struct sigaction action {};
  action.sa_handler = handler;
  action.sa_flags = SA_RESTART;
  sigemptyset(&action.sa_mask);
  sigaction(signal, &action, nullptr);
}

Stop& stop_on_signals() {
  static Stop stop;
  stop_on_signal = &stop;
  handle_signal(SIGTERM, on_stop_signal);
  handle_signal(SIGINT, on_stop_signal);
  // A connection that breaks is an error of the write, not a death.
  handle_signal(SIGPIPE, SIG_IGN);
  return stop;
}

}  // namespace anabranch
