// One session with the server after the other: what passes by itself is waited for, what does not ends the run.
#pragma once

#include <functional>
#include <string>

#include "sidecar/backoff.hpp"
#include "sidecar/stop.hpp"

namespace anabranch {

// The log has to be read again from the recorded position, with a session of its own: what was read of it is gone.
struct LogRestart : std::exception {
  const char* what() const noexcept override { return "the log has to be read again from the recorded position"; }
};

struct SessionKeeper {
  // One session, until stopped. It says backoff.succeeded() once it has got further than where it began: one that
  // only stands has shown nothing.
  std::function<void(Backoff&)> session;
  // The log does not hold any more what is needed, told before the run ends for it. May be empty.
  std::function<void(const std::string& reason)> log_lost;
};

// Runs sessions until one returns or `stop` is requested. Another session follows a LogRestart, at once; a PgError that
// may pass, after a pause of at most five seconds, without limit; and a damaged log, after such a pause, twice without
// success between. Every other error of the server or the log becomes RunError; exceptions of other kinds go through.
void keep_session(const Stop& stop, const SessionKeeper& keeper);

}  // namespace anabranch
