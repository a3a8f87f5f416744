// Where the end of the topics begins, for somebody who looks at the last transactions.
#pragma once

#include <cstdint>
#include <optional>
#include <set>
#include <string>

#include "sidecar/log/topic_reader.hpp"

namespace anabranch {

struct TopicTail {
  Lsn from;  // the end of the unit before; invalid: nothing has been published
  // In the transaction topic: where the record of that unit stands, as far as that was read.
  std::optional<int64_t> offset;
  int64_t last_offset = -1;  // in the transaction topic: where the last whole one of them ends; -1: there is none
  uint64_t count = 0;        // how many there are
};

// The last `count` transactions that are whole and have records in one of `topics` (empty: in any); fewer where the
// transaction topic holds fewer. With a `count` of 0, `from` is where the last unit ends. Reads backwards from the end
// of the topic, no further than it must. Throws what the reader throws, LogError for records that no publisher writes.
TopicTail find_tail(TopicReader& reader, const std::string& transaction_topic, uint64_t count,
                    const std::set<std::string>& topics);

}  // namespace anabranch
