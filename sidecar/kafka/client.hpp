// One connection to Kafka: a librdkafka client made from properties, its log lines in ours, its trouble at hand.
#pragma once

#include <chrono>
#include <functional>
#include <mutex>
#include <optional>
#include <string>

#include "sidecar/kafka/error.hpp"
#include "sidecar/kafka/handle.hpp"
#include "sidecar/kafka/properties.hpp"

namespace anabranch {

struct KafkaClientOptions {
  rd_kafka_type_t type = RD_KAFKA_PRODUCER;
  // The user's, from the settings file; values in files are read when the client is made.
  KafkaProperties properties;
  // What the user may not set otherwise: see merged().
  KafkaProperties ours;
  // Producers: called for each message once its fate is known, from poll() or a flush, in the thread that called that;
  // the message lives as long as the call. Must not throw. Null: no delivery reports.
  std::function<void(const rd_kafka_message_t&)> delivered;
  // Called with the number of the API (https://kafka.apache.org/protocol#protocol_api_keys) for each request that has
  // gone out, those that librdkafka repeats by itself too. In threads of the client's: must be quick, and must not
  // throw. Null: nobody is told.
  std::function<void(int16_t)> sent;
};

// Any thread may use it, as librdkafka allows; the callbacks run in the thread that polls. Not movable: librdkafka
// keeps its address. The destructor ends the client's threads without waiting for messages under way: flush before.
class KafkaClient {
 public:
  // Connects to nothing yet: brokers are sought in the background. Throws KafkaPropertyError for a property that is
  // refused, KafkaError for a set of them that librdkafka cannot work with (a CA file that is missing, for one).
  explicit KafkaClient(KafkaClientOptions options);
  KafkaClient(const KafkaClient&) = delete;
  KafkaClient& operator=(const KafkaClient&) = delete;

  rd_kafka_t* handle() const { return handle_.get(); }
  // Serves callbacks for at most `time`; how many were served.
  int poll(std::chrono::milliseconds time) { return rd_kafka_poll(handle(), static_cast<int>(time.count())); }

  // The latest trouble that poll() has heard of since clear_trouble(): why nothing answers. Most of it passes.
  std::optional<KafkaError> trouble() const;
  void clear_trouble();
  // The error after which this client is of no use.
  std::optional<KafkaError> fatal_error() const;

  // The cluster's id; waits up to `time` for a broker. Throws KafkaError (the trouble, where there is any).
  std::string cluster_id(std::chrono::milliseconds time);

 private:
  void note_trouble(KafkaError error);

  static rd_kafka_resp_err_t watch_requests(rd_kafka_t* client, const rd_kafka_conf_t* configuration, void* self,
                                            char* reason, size_t reason_size);

  const std::function<void(const rd_kafka_message_t&)> delivered_;
  const std::function<void(int16_t)> sent_;
  mutable std::mutex mutex_;
  std::optional<KafkaError> trouble_;  // guarded by mutex_
  kafka::Handle<rd_kafka_t> handle_;   // last: its threads end before what they use
};

}  // namespace anabranch
