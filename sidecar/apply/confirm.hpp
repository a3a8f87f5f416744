// Up to where the slot may be acknowledged.
#pragma once

#include <cstdint>
#include <deque>
#include <unordered_map>

#include "sidecar/pg/lsn.hpp"

namespace anabranch {

// Which recorded positions have reached the disk. Batches commit with synchronous_commit off; a position counts once
// the WAL that holds its commit has been flushed, because until then a crash of the server takes it back.
class FlushTracker {
 public:
  explicit FlushTracker(Lsn flushed_position) : flushed_position_(flushed_position) {}

  // `position` was recorded by a commit that ends at or before `wal_end` (the insert position read after it).
  void recorded(Lsn position, Lsn wal_end);
  // The server has flushed its WAL up to `wal_flushed`, and so has each standby that the slot goes over to.
  void flushed(Lsn wal_flushed);

  // The highest recorded position that a crash cannot take back.
  Lsn position() const { return flushed_position_; }

 private:
  // Bounds the memory when nothing is flushed for long: the last two entries are then merged, which only makes the
  // answer more careful.
  static constexpr std::size_t entries_max = 1'024;

  struct Entry {
    Lsn position, wal_end;
  };
  std::deque<Entry> entries_;
  Lsn flushed_position_;
};

// The acknowledgement set: the live copies as one group, and each copy that is not with them but still depends on the
// slot. Invariant C <= P: what confirmable() returns is recorded and flushed by everybody in the set.
class AckSet {
 public:
  // `confirmed` is what the slot says at the start (C); `recorded` the group's position (P).
  AckSet(Lsn confirmed, Lsn recorded) : confirmed_(confirmed), group_(recorded) {}

  FlushTracker& group() { return group_; }

  // A copy at `position` needs everything after it. Again with the same copy: its new position.
  void hold(uint32_t copy, Lsn position) { held_[copy] = position; }
  // The copy does not depend on the slot any more.
  void release(uint32_t copy) { held_.erase(copy); }
  bool holds(uint32_t copy) const { return held_.contains(copy); }
  // By copy.
  const std::unordered_map<uint32_t, Lsn>& held() const { return held_; }

  // Whether everything after `position` is still in the log.
  bool keeps(Lsn position) const { return confirmed_ <= position; }

  // The lowest position held, the group's included. Never falls: a copy that is held later at a lower position has lost
  // what lies between, and whoever holds it asks keeps() first.
  Lsn confirmable();

  Lsn confirmed() const { return confirmed_; }

 private:
  Lsn confirmed_;
  FlushTracker group_;
  std::unordered_map<uint32_t, Lsn> held_;
};

}  // namespace anabranch
