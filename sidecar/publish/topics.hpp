// Which topic a table has, and what the publisher needs to do with topics as such.
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "sidecar/topic/stable_hash.hpp"
#include "sidecar/topic/topic_names.hpp"

namespace anabranch {

// Topics that the settings name for tables: by the table as schema.name, or quoted as SQL needs it; the part after the
// prefix.
using ChosenTopics = std::map<std::string, std::string>;

// The topic of a table: the one that was chosen, else that of its name. `qualified`: schema.name, quoted where needed.
std::string topic_of_table(const TopicNames& names, const ChosenTopics& chosen, const std::string& schema,
                           const std::string& name, const std::string& qualified);
// Of the latest row of each of its keys.
std::string latest_topic_of_table(const TopicNames& names, const ChosenTopics& chosen, const std::string& schema,
                                  const std::string& name, const std::string& qualified);

struct TopicSettings {
  int partitions = 6;
  int replication_factor = -1;  // the broker's default
  std::chrono::milliseconds retention{std::chrono::hours(7 * 24)};
  bool create = true;  // false: a missing topic ends the run by name

  bool operator==(const TopicSettings&) const = default;
};

// N partitions deleted by age; one partition; one, compacted; N, compacted.
enum class TopicKind { data, single, compacted, latest };

// The cleanup.policy of a topic of the kind. "compact,delete" is none: it loses what is to stay for good.
const char* cleanup_policy(TopicKind kind);

struct TopicFacts {
  int partitions = 0;
};

// Topics as such. Throws ProducerError.
class TopicAdmin {
 public:
  virtual ~TopicAdmin() = default;

  // nullopt: there is none. Never creates one.
  virtual std::optional<TopicFacts> find(const std::string& topic) = 0;

  // The topic, created where it is missing and settings allow; refused with the remedy where they do not, or where it
  // is not what its kind needs.
  virtual TopicFacts ensure(const std::string& topic, TopicKind kind) = 0;

  // Where each partition ends: the offset of the record to come, uncommitted ones counted. nullopt: no such topic.
  // `expected`: it was there; then brokers must deny it for some time, since one that starts may not know it yet.
  virtual std::optional<std::vector<int64_t>> ends(const std::string& topic, bool expected) = 0;

  // Whether the first record of a partition lacks the headers that all of ours have: somebody else's topic.
  virtual bool holds_others_records(const std::string& topic) = 0;

  virtual std::string cluster_id() = 0;
};

}  // namespace anabranch
