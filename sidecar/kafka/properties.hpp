// The user's [kafka.properties] and our own wishes, put together and checked.
#pragma once

#include <cstddef>
#include <map>
#include <stdexcept>
#include <string>
#include <string_view>

namespace anabranch {

// librdkafka's properties by name, as its CONFIGURATION.md lists them.
using KafkaProperties = std::map<std::string, std::string, std::less<>>;

// A property that is refused. Neither text holds the value of a secret.
class KafkaPropertyError : public std::runtime_error {
 public:
  KafkaPropertyError(std::string property, std::string problem, std::string remedy);
  const std::string& property() const { return property_; }
  const std::string& problem() const { return problem_; }
  const std::string& remedy() const { return remedy_; }

 private:
  std::string property_, problem_, remedy_;
};

// A password, a private key, or what may hold one: never printed, and only read from where others cannot read.
bool is_secret_property(std::string_view name);

// The user's properties with the values of files in place: "NAME.file" = PATH stands for NAME with the contents of the
// file, less one newline at its end. A secret's file may be readable by its owner alone, or by a group where root owns
// it. Throws KafkaPropertyError for a file that is not so or cannot be read, and where both are given.
KafkaProperties with_files_read(const KafkaProperties& given);

// `ours` over what the user gave. What Anabranch sets is what its promises rest on: a user's other value for it, by
// whichever of librdkafka's names, is refused with KafkaPropertyError, never silently overruled.
KafkaProperties merged(const KafkaProperties& given, const KafkaProperties& ours);

// The largest record that a producer may send: "message.max.bytes", or librdkafka's default.
size_t message_bytes_max(const KafkaProperties& given);

// The producer's "queue.buffering.max.kbytes" where the user gave none: a record that does not fit into the queue is
// never sent. Throws KafkaPropertyError for a user's own that is smaller than the largest record.
std::string queue_kbytes_for(const KafkaProperties& given);

}  // namespace anabranch
