// The thread that reads a log ahead, and what it shares with whoever takes from it.
#pragma once

#include <functional>
#include <memory>
#include <mutex>
#include <thread>

#include "sidecar/log/change_log.hpp"
#include "sidecar/log/piece_queue.hpp"
#include "sidecar/stop.hpp"

namespace anabranch {

// One session after the other: prepare(), begin(), end(). These and the destructor are for one thread; the rest may be
// called from any.
class LogReader {
 public:
  explicit LogReader(size_t queue_bytes_max) : queue(queue_bytes_max) {}
  ~LogReader() { end(); }
  LogReader(const LogReader&) = delete;
  LogReader& operator=(const LogReader&) = delete;

  // A new session, from `from` on, with nothing read yet. The stop is requested by its end(), and lives until the next
  // prepare().
  Stop& prepare(Lsn from);
  // Begins the thread. What `read` throws is what the queue hands out last. `name`: as of start_thread().
  void begin(const char* name, std::function<void()> read);
  // Ends the session, if there is one, and waits for its thread.
  void end() noexcept;

  void want(WantedColumns columns);
  std::shared_ptr<const WantedColumns> wanted() const;

  PieceQueue queue;

 private:
  std::unique_ptr<Stop> ending_ = std::make_unique<Stop>();
  std::thread thread_;
  mutable std::mutex wanted_mutex_;
  std::shared_ptr<const WantedColumns> wanted_ = std::make_shared<WantedColumns>();
};

}  // namespace anabranch
