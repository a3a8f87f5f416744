// Rows of topics as the changes that they were. Pure.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "sidecar/log/change_log.hpp"
#include "sidecar/log/topic_record.hpp"

namespace anabranch {

// LogError(damaged): what no publisher writes.
[[noreturn]] void throw_damaged(const std::string& what);

// A change with its number within its transaction.
struct NumberedChange {
  uint64_t number = 0;
  Change change;
};
using NumberedChanges = std::vector<NumberedChange>;

// The change that a row tells of; `relation`: of its record, nullptr where that names none. Points into both. Throws
// LogError(damaged) for a row that needs a relation and has none.
Change change_of(const TopicRow& row, const Relation* relation);

// Puts the changes of one part of a transaction, by partition, in the order of their numbers, and appends them to
// `changes`. What the publisher took apart is one again: a truncate, which stands in every partition; an update that
// changed the key, where its insert needs values of the old row. Returns how many numbers there were. Throws
// LogError(damaged) where a number comes twice, or a partition is not in order.
uint64_t merge_partitions(std::vector<NumberedChanges> partitions, std::vector<Change>& changes);

}  // namespace anabranch
