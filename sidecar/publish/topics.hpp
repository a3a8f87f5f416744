// Names of topics, and what the publisher needs to do with topics as such.
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace anabranch {

// The longest name that Kafka takes.
inline constexpr size_t topic_name_bytes_max = 249;

// A part of a topic's name: bytes outside of a-z A-Z 0-9 . _ - as _xHH (upper case).
std::string topic_part(std::string_view name);

// The default of kafka.prefix for a database.
inline std::string default_topic_prefix(std::string_view database) {
  return topic_part(database);
}

// All topics of one source. A pure function of the prefix: readers use it, too. Names of more than topic_name_bytes_max
// bytes are cut and end in "." and 16 hexadecimal digits of a hash.
class TopicNames {
 public:
  // Throws std::invalid_argument where the prefix is no part of a topic's name, or longer than 100 bytes.
  explicit TopicNames(std::string prefix);

  const std::string& prefix() const { return prefix_; }
  std::string table(std::string_view schema, std::string_view name) const;
  // Of the latest row of each key of a table: the table's, and ".latest".
  std::string latest(std::string_view schema, std::string_view name) const;
  std::string message(std::string_view message_prefix) const;
  std::string transaction() const { return prefix_ + ".transaction"; }
  std::string relation() const { return prefix_ + ".relation"; }
  std::string progress() const { return prefix_ + ".progress"; }
  // Whether a table's or message's topic would be one of the three above: table "transaction" in no schema cannot be,
  // but "x.transaction" under the prefix "a" is also the prefix "a.x"'s.
  bool is_own(std::string_view topic) const;

 private:
  std::string prefix_;
};

// Topics that the settings name for tables: by the table as schema.name, or quoted as SQL needs it; the part after the
// prefix.
using ChosenTopics = std::map<std::string, std::string>;

// The topic of a table: the one that was chosen, else that of its name. `qualified`: schema.name, quoted where needed.
std::string topic_of_table(const TopicNames& names, const ChosenTopics& chosen, const std::string& schema,
                           const std::string& name, const std::string& qualified);
// Of the latest row of each of its keys.
std::string latest_topic_of_table(const TopicNames& names, const ChosenTopics& chosen, const std::string& schema,
                                  const std::string& name, const std::string& qualified);

// The hash at the end of long names, and of relations' descriptions: the first 8 bytes of SHA-256, big-endian.
uint64_t stable_hash(std::string_view bytes);
// 16 hexadecimal digits, lower case.
std::string fingerprint_text(uint64_t fingerprint);

struct TopicSettings {
  int partitions = 6;
  int replication_factor = -1;  // the broker's default
  std::chrono::milliseconds retention{std::chrono::hours(7 * 24)};
  bool create = true;  // false: a missing topic ends the run by name

  bool operator==(const TopicSettings&) const = default;
};

// N partitions deleted by age; one partition; one, compacted; N, compacted.
enum class TopicKind { data, single, compacted, latest };

struct TopicFacts {
  int partitions = 0;
  std::optional<int64_t> max_message_bytes;  // of the topic; nullopt: the broker does not tell us
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
  virtual std::optional<std::vector<int64_t>> ends(const std::string& topic) = 0;

  // Whether the first record of a partition lacks the headers that all of ours have: somebody else's topic.
  virtual bool holds_others_records(const std::string& topic) = 0;

  virtual std::string cluster_id() = 0;
};

}  // namespace anabranch
