#include "sidecar/log/piece_queue.hpp"

#include <algorithm>
#include <utility>

namespace anabranch {

void PieceQueue::open(Lsn position) {
  std::deque<Item> dropped;  // destroyed without the lock: it may be large
  const std::lock_guard lock(mutex_);
  dropped.swap(items_);
  bytes_ = 0;
  position_ = position;
  closed_ = false;
  failure_ = nullptr;
}

void PieceQueue::close() {
  const std::lock_guard lock(mutex_);
  closed_ = true;
  emptied_.notify_all();
}

bool PieceQueue::wait_for_room(std::chrono::milliseconds wait) {
  std::unique_lock lock(mutex_);
  emptied_.wait_for(lock, wait, [&] { return closed_ || bytes_ < bytes_max_; });
  return !closed_ && bytes_ < bytes_max_;
}

void PieceQueue::push(std::vector<TransactionPiece>& pieces) {
  if (pieces.empty()) return;
  const std::lock_guard lock(mutex_);
  for (TransactionPiece& piece : pieces) {
    bytes_ += piece.bytes;
    items_.emplace_back(std::move(piece));
  }
  pieces.clear();
  filled_.notify_one();
}

void PieceQueue::push_position(Lsn position) {
  const std::lock_guard lock(mutex_);
  if (items_.empty()) {
    position_ = std::max(position_, position);
  } else if (Lsn* last = std::get_if<Lsn>(&items_.back())) {
    *last = std::max(*last, position);  // an idle server tells its position again and again
  } else {
    items_.emplace_back(position);
  }
}

void PieceQueue::fail(std::exception_ptr failure) {
  const std::lock_guard lock(mutex_);
  failure_ = std::move(failure);
  filled_.notify_one();
}

std::optional<TransactionPiece> PieceQueue::pop(std::chrono::milliseconds wait) {
  const auto deadline = std::chrono::steady_clock::now() + wait;
  std::unique_lock lock(mutex_);
  for (;;) {
    while (!items_.empty()) {
      Item item = std::move(items_.front());
      items_.pop_front();
      if (const Lsn* position = std::get_if<Lsn>(&item)) {
        position_ = std::max(position_, *position);
        continue;
      }
      TransactionPiece piece = std::get<TransactionPiece>(std::move(item));
      if (piece.end_lsn) position_ = std::max(position_, *piece.end_lsn);
      const bool was_full = bytes_ >= bytes_max_;
      bytes_ -= piece.bytes;
      if (was_full && bytes_ < bytes_max_) emptied_.notify_one();
      return piece;
    }
    if (failure_) std::rethrow_exception(failure_);
    if (filled_.wait_until(lock, deadline) == std::cv_status::timeout && items_.empty() && !failure_)
      return std::nullopt;
  }
}

Lsn PieceQueue::position() const {
  const std::lock_guard lock(mutex_);
  return position_;
}

size_t PieceQueue::bytes() const {
  const std::lock_guard lock(mutex_);
  return bytes_;
}

}  // namespace anabranch
