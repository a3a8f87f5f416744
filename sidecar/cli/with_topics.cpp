#include "sidecar/cli/with_topics.hpp"

#include <chrono>

#include <fmt/format.h>

#include "sidecar/cli/names.hpp"
#include "sidecar/kafka/error.hpp"
#include "sidecar/kafka/properties.hpp"

namespace anabranch {
namespace {

constexpr std::chrono::seconds broker_patience{30};

}  // namespace

int with_topics(const Settings& settings, const std::function<int(KafkaTopicReader&, const TopicNames&)>& read) {
  if (!settings.kafka.properties.contains("bootstrap.servers")) {
    fmt::print(stderr, "no brokers are named; write [kafka] brokers = \"...\" in the settings file (--config)\n");
    return exit_unread;
  }
  try {
    const TopicNames names(topic_prefix_of(settings));
    const Stop stop;
    KafkaTopicReader reader(settings.kafka.properties, stop, broker_patience);
    return read(reader, names);
  } catch (const KafkaPropertyError& error) {
    fmt::print(stderr, "{}\n", error.what());
  } catch (const KafkaError& error) {
    fmt::print(stderr, "the topics could not be read: {}\n", printable(error.what()));
  } catch (const std::invalid_argument& error) {
    fmt::print(stderr, "kafka.prefix {}\n", printable(error.what()));
  }
  return exit_unread;
}

}  // namespace anabranch
