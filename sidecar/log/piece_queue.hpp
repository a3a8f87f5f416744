// What the reader of a log has ready for the applier: bounded in bytes, in order, the failure last.
#pragma once

#include <chrono>
#include <condition_variable>
#include <deque>
#include <exception>
#include <mutex>
#include <optional>
#include <variant>
#include <vector>

#include "sidecar/log/change_log.hpp"

namespace anabranch {

// Between one writer and one reader, on threads of their own; position() and bytes() may be asked from any.
class PieceQueue {
 public:
  explicit PieceQueue(size_t bytes_max) : bytes_max_(bytes_max) {}

  // Empties the queue and opens it; `position` is where the log begins.
  void open(Lsn position);
  // Ends wait_for_room() at once, for good. What is in the queue stays.
  void close();

  // Waits until there is room, the queue is closed, or the time is over; true when there is room. One push may then go
  // over the bound: what was received has to go somewhere.
  bool wait_for_room(std::chrono::milliseconds wait);
  void push(std::vector<TransactionPiece>& pieces);
  // Nothing for us up to `position`, beside what has been pushed before.
  void push_position(Lsn position);
  // Nothing comes after this.
  void fail(std::exception_ptr failure);

  // The next piece; nullopt when none came in time. Throws the failure once everything before it has been handed out,
  // and again on every later call.
  std::optional<TransactionPiece> pop(std::chrono::milliseconds wait);

  Lsn position() const;
  size_t bytes() const;

 private:
  using Item = std::variant<TransactionPiece, Lsn>;

  const size_t bytes_max_;
  mutable std::mutex mutex_;
  std::condition_variable filled_, emptied_;
  std::deque<Item> items_;
  size_t bytes_ = 0;
  Lsn position_;
  bool closed_ = false;
  std::exception_ptr failure_;
};

}  // namespace anabranch
