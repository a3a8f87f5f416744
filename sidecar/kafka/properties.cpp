#include "sidecar/kafka/properties.hpp"

#include <algorithm>
#include <array>
#include <utility>

#include <fmt/format.h>

#include "sidecar/value_file.hpp"

namespace anabranch {
namespace {

constexpr std::string_view file_suffix = ".file";
// Kafka's brokers and librdkafka both take this much where nobody says otherwise.
constexpr size_t message_bytes_default = 1'000'000;
constexpr size_t queue_kbytes_default = 32'768;

constexpr std::array<std::string_view, 7> secrets = {
    "sasl.password", "sasl.oauthbearer.client.secret", "sasl.oauthbearer.config", "ssl.key.password",
    "ssl.key.pem",   "ssl.keystore.password",          "sasl.kerberos.kinit.cmd"};

// librdkafka's second names, each with the first.
constexpr std::array<std::pair<std::string_view, std::string_view>, 9> aliases = {{
    {"metadata.broker.list", "bootstrap.servers"},
    {"max.in.flight", "max.in.flight.requests.per.connection"},
    {"sasl.mechanism", "sasl.mechanisms"},
    {"fetch.message.max.bytes", "max.partition.fetch.bytes"},
    {"queue.buffering.max.ms", "linger.ms"},
    {"message.send.max.retries", "retries"},
    {"compression.codec", "compression.type"},
    {"request.required.acks", "acks"},
    {"delivery.timeout.ms", "message.timeout.ms"},
}};

std::string_view first_name(std::string_view name) {
  const auto* const alias =
      std::find_if(aliases.begin(), aliases.end(), [&](const auto& pair) { return pair.first == name; });
  return alias == aliases.end() ? name : alias->second;
}

}  // namespace

KafkaPropertyError::KafkaPropertyError(std::string property, std::string problem, std::string remedy)
    : std::runtime_error(fmt::format("kafka property \"{}\": {}; {}", property, problem, remedy)),
      property_(std::move(property)),
      problem_(std::move(problem)),
      remedy_(std::move(remedy)) {}

bool is_secret_property(std::string_view name) {
  return std::find(secrets.begin(), secrets.end(), name) != secrets.end();
}

KafkaProperties with_files_read(const KafkaProperties& given) {
  KafkaProperties read;
  for (const auto& [name, value] : given) {
    if (!name.ends_with(file_suffix)) {
      read[name] = value;
      continue;
    }
    const std::string property = name.substr(0, name.size() - file_suffix.size());
    if (given.contains(property))
      throw KafkaPropertyError(name, fmt::format("\"{}\" is given too", property), "leave one of the two out");
    try {
      read[property] = read_value_file(value, is_secret_property(property));
    } catch (const ValueFileError& error) {
      throw KafkaPropertyError(name, error.problem(), error.remedy());
    }
  }
  return read;
}

KafkaProperties merged(const KafkaProperties& given, const KafkaProperties& ours) {
  KafkaProperties all = ours;
  for (const auto& [name, value] : given) {
    const auto fixed = std::find_if(ours.begin(), ours.end(), [first = first_name(name)](const auto& pair) {
      return first_name(pair.first) == first;
    });
    if (fixed == ours.end())
      all[name] = value;
    else if (fixed->second != value)
      throw KafkaPropertyError(name, fmt::format("anabranch sets it to \"{}\"", fixed->second), "leave it out");
  }
  return all;
}

size_t message_bytes_max(const KafkaProperties& given) {
  const auto found = given.find("message.max.bytes");
  return found == given.end() ? message_bytes_default : std::strtoull(found->second.c_str(), nullptr, 10);
}

std::string queue_kbytes_for(const KafkaProperties& given) {
  constexpr const char* name = "queue.buffering.max.kbytes";
  const size_t bytes = message_bytes_max(given);
  const auto own = given.find(name);
  if (own == given.end()) return std::to_string(std::max(queue_kbytes_default, 2 * bytes / 1024));
  if (std::strtoull(own->second.c_str(), nullptr, 10) * 1024 < bytes)
    throw KafkaPropertyError(name, fmt::format("a record of {} bytes (message.max.bytes) does not fit into it", bytes),
                             fmt::format("set it to {} or more", 2 * bytes / 1024));
  return own->second;
}

}  // namespace anabranch
