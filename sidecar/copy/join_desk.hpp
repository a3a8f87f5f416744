// Where a worker that has caught up hands its copy over to the main applier.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <deque>
#include <mutex>
#include <optional>

#include "sidecar/pg/lsn.hpp"
#include "sidecar/stop.hpp"

namespace anabranch {

// Workers ask, the main applier answers between two of its batches. All functions may be called from any thread.
class JoinDesk {
 public:
  enum class Answer {
    accepted,  // the copy is the main applier's
    behind,    // the main applier is further than the position offered: catch up and ask again
    busy,      // the view could not be locked: ask again a little later
    refused    // the copy is gone, or not to run
  };
  struct Request {
    uint32_t copy = 0;
    Lsn position;  // recorded; the worker applies nothing after it until it has the answer
  };

  // The position that the main applier has reached, or will have with the batch it is sending.
  void publish(Lsn position);
  Lsn position() const;

  // Waits for the answer; throws Interrupted when `stop` is requested first. Then, and only then, the answer is
  // unknown: what is recorded decides.
  Answer ask(const Request& request, const Stop& stop);

  // The next request that has not been taken yet; it must be answered.
  std::optional<Request> next();
  void answer(uint32_t copy, Answer answer);

 private:
  struct Open {
    Request request;
    bool taken = false;
    std::optional<Answer> answer;
  };
  std::deque<Open>::iterator find(uint32_t copy);

  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<Open> open_;  // at most one per worker
  Lsn position_;
};

}  // namespace anabranch
