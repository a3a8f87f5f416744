#include "sidecar/apply/confirm.hpp"

#include <algorithm>

namespace anabranch {

void FlushTracker::recorded(Lsn position, Lsn wal_end) {
  if (!entries_.empty() && entries_.size() >= entries_max) {
    entries_.back() = Entry{std::max(entries_.back().position, position), std::max(entries_.back().wal_end, wal_end)};
    return;
  }
  entries_.push_back(Entry{position, wal_end});
}

void FlushTracker::flushed(Lsn wal_flushed) {
  while (!entries_.empty() && entries_.front().wal_end <= wal_flushed) {
    flushed_position_ = std::max(flushed_position_, entries_.front().position);
    entries_.pop_front();
  }
}

Lsn AckSet::confirmable() {
  Lsn lowest = group_.position();
  for (const auto& [copy, position] : held_) lowest = std::min(lowest, position);
  confirmed_ = std::max(confirmed_, lowest);
  return confirmed_;
}

}  // namespace anabranch
