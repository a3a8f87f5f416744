// The sign of life of a run.
#pragma once

#include <atomic>
#include <chrono>
#include <thread>

#include "sidecar/apply/session.hpp"
#include "sidecar/apply/waiting.hpp"
#include "sidecar/stop.hpp"

namespace anabranch {

// Writes anabranch.heartbeat about once a second, in a thread and a session of its own, so that a transaction of an
// hour does not make a run look dead. It also bounds how long a stop may take: `give_up` is requested when `stop` has
// been for `stop_time_max`. The destructor ends the thread.
class Heartbeat {
 public:
  // References must outlive the object.
  Heartbeat(const ConnectOptions& options, const SourceToken& token, const Stop& stop, Stop& give_up,
            std::chrono::milliseconds stop_time_max);
  ~Heartbeat();

  // Whether the server has said that another sidecar is in charge now.
  bool fenced() const { return fenced_; }
  // What it tells with each sign of life. Safe for any thread.
  ApplierWaiting& waiting() const { return waiting_; }

 private:
  void run();
  void beat(std::optional<Connection>& connection);

  ConnectOptions options_;
  const SourceToken& token_;
  const Stop& stop_;
  Stop& give_up_;
  const std::chrono::milliseconds stop_time_max_;
  Stop ending_;
  std::atomic<bool> fenced_{false};
  mutable ApplierWaiting waiting_;
  std::thread thread_;
};

}  // namespace anabranch
