// How a running program is asked to stop.
#pragma once

#include <atomic>
#include <chrono>
#include <exception>

namespace anabranch {

// A request to stop that every wait can see: it has a file descriptor that becomes readable, so poll() ends at once,
// and stays readable. request() may be called from a signal handler and from any thread.
class Stop {
 public:
  Stop();
  ~Stop();
  Stop(const Stop&) = delete;
  Stop& operator=(const Stop&) = delete;

  void request() noexcept;
  // Waits for a request, for at most `time`; whether there is one.
  bool wait(std::chrono::milliseconds time) const noexcept;
  bool requested() const noexcept { return requested_.load(std::memory_order_acquire); }
  // Readable once a stop has been requested. Never read from it.
  int descriptor() const noexcept { return descriptor_; }

 private:
  std::atomic<bool> requested_{false};
  int descriptor_;
};

// Thrown by a wait that a Stop ended. It is no failure: what was under way has been cancelled at the server.
class Interrupted : public std::exception {
 public:
  const char* what() const noexcept override { return "interrupted by a request to stop"; }
};

}  // namespace anabranch
