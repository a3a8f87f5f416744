// What the reader of a log in topics needs of a broker.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "sidecar/log/topic_record.hpp"

namespace anabranch {

// What one read of a partition brought.
struct TopicRead {
  std::vector<TopicRecord> records;     // ascending by offset
  std::shared_ptr<const void> storage;  // what keys and values point into
  std::shared_ptr<const void> headers;  // what headers point into: nobody needs them for long
  int64_t next = 0;     // every committed record from `first` up to here has been handed out: where to go on
  bool at_end = false;  // the broker had nothing committed from `next` on when it was last heard
};

// Reads committed records only. A broker that is away is waited for: reads then bring nothing. Used by one thread.
class TopicReader {
 public:
  // The offsets that a partition holds: [first, end).
  struct Bounds {
    int64_t first = 0, end = 0;
  };

  virtual ~TopicReader() = default;

  // nullopt: there is no such topic. Waits for the broker. Throws Interrupted.
  virtual std::optional<Bounds> bounds(const std::string& topic, int32_t partition) = 0;

  // The records with offsets from `first` to `last`, as far as they are at hand; waits up to `wait` for the first.
  // Partitions are read ahead from where the last read stopped; another `first` begins there anew. Throws
  // LogError(gap) when the topic is gone or does not go back (or, recreated, up) to `first`; Interrupted.
  virtual TopicRead read(const std::string& topic, int32_t partition, int64_t first, int64_t last,
                         std::chrono::milliseconds wait) = 0;

  // Nobody reads this partition at present: it need not be read ahead.
  virtual void release(const std::string& topic, int32_t partition) = 0;
};

// How long one read waits for its first record, where nobody else is waiting.
inline constexpr std::chrono::milliseconds topic_read_wait{500};

// Calls body(record) for every committed record with an offset in [first, end), in order. Waits for brokers that are
// away; ends where there is nothing committed any more. Throws what read() and `body` throw.
template <typename Body>
void for_each_record(TopicReader& reader, const std::string& topic, int32_t partition, int64_t first, int64_t end,
                     Body body) {
  for (int64_t next = first; next < end;) {
    const TopicRead read = reader.read(topic, partition, next, end - 1, topic_read_wait);
    for (const TopicRecord& record : read.records) body(record);
    if (read.next == next && read.at_end) return;
    next = read.next;
  }
}

}  // namespace anabranch
