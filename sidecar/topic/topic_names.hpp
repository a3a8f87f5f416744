// Names of the topics of a source.
#pragma once

#include <string>
#include <string_view>

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
  // What the names of all topics of messages begin with.
  std::string message_prefix() const { return prefix_ + ".message."; }
  std::string transaction() const { return prefix_ + ".transaction"; }
  std::string relation() const { return prefix_ + ".relation"; }
  std::string progress() const { return prefix_ + ".progress"; }
  // Whether a table's or message's topic would be one of the three above: table "transaction" in no schema cannot be,
  // but "x.transaction" under the prefix "a" is also the prefix "a.x"'s.
  bool is_own(std::string_view topic) const;

 private:
  std::string prefix_;
};

}  // namespace anabranch
