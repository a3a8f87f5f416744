// Kafka itself, by librdkafka: the interfaces of producer.hpp, progress.hpp and topics.hpp.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "sidecar/kafka/properties.hpp"
#include "sidecar/publish/producer.hpp"
#include "sidecar/publish/progress.hpp"
#include "sidecar/publish/topics.hpp"

namespace anabranch {

class KafkaError;

struct KafkaAccess {
  KafkaProperties properties;  // the user's, bootstrap.servers among them
  std::string transactional_id;
  // Called in every wait, about five times a second; may throw to end it. May be changed while nothing waits.
  std::function<void()> while_waiting;
};

// The transactional.id of a source: a clone has another system identifier, so it fences nobody.
std::string transactional_id(const std::string& prefix, const std::string& source, const std::string& system_identifier,
                             const std::string& instance);

// What the publisher does about an error of librdkafka: the one place where that is decided.
ProducerError producer_error(const KafkaError& error);

// `access` and `topics` must outlive what is made. Throws KafkaPropertyError for properties that are refused.
std::unique_ptr<ProducerFactory> make_rdkafka_producers(const KafkaAccess& access);
std::unique_ptr<TopicAdmin> make_rdkafka_topics(const KafkaAccess& access, TopicSettings settings);
std::unique_ptr<ProgressStore> make_rdkafka_progress(const KafkaAccess& access, TopicAdmin& topics, std::string topic);

}  // namespace anabranch
