#include "sidecar/log/topic_relations.hpp"

#include <limits>

#include <fmt/format.h>

namespace anabranch {
namespace {

constexpr int end_waits_max = 60;  // a broker that has just committed shows it within moments

}  // namespace

TopicRelations::TopicRelations(TopicReader& reader, std::string topic) : reader_(reader), topic_(std::move(topic)) {}

const std::shared_ptr<const Relation>& TopicRelations::find(uint64_t fingerprint) {
  for (int end_waits = 0;;) {
    if (const auto found = relations_.find(fingerprint); found != relations_.end()) return found->second;
    if (read_on()) continue;
    if (++end_waits >= end_waits_max)
      throw LogError(
          LogError::Kind::damaged,
          fmt::format("topic \"{}\" does not describe relation {:016x}, which records name", topic_, fingerprint));
  }
}

// False when the topic has ended.
bool TopicRelations::read_on() {
  if (next_ < 0) {
    const auto bounds = reader_.bounds(topic_, 0);
    if (!bounds) throw LogError(LogError::Kind::gap, fmt::format("topic \"{}\" does not exist", topic_));
    next_ = bounds->first;
  }
  const TopicRead read = reader_.read(topic_, 0, next_, std::numeric_limits<int64_t>::max() - 1, topic_read_wait);
  next_ = read.next;
  for (const TopicRecord& record : read.records) {
    if (!record.has_value) continue;
    try {
      relations_[read_fingerprint_key(record.key)] = std::make_shared<const Relation>(read_relation(record.value));
    } catch (const LogError& error) {
      throw LogError(error.kind(), fmt::format("{} (topic \"{}\", offset {})", error.what(), topic_, record.offset));
    }
  }
  return !read.records.empty() || !read.at_end;
}

}  // namespace anabranch
