// Topics as librdkafka reads them.
#pragma once

#include <chrono>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "sidecar/kafka/client.hpp"
#include "sidecar/log/topic_reader.hpp"
#include "sidecar/stop.hpp"

namespace anabranch {

// Each partition that somebody reads has a queue of its own, which librdkafka fills ahead, within bounds. No consumer
// group takes part: positions are the caller's. Throws KafkaError for what will not pass by itself (no right to read a
// topic, for one). Trouble with the brokers is waited out, and said: once, and again while it lasts.
class KafkaTopicReader final : public TopicReader {
 public:
  // `properties` are the user's. `stop` must outlive the object: once it is requested every wait throws Interrupted.
  // `patience`: brokers that say nothing for so long are given up with a KafkaError; nullopt: they are waited for.
  // Throws KafkaPropertyError and KafkaError.
  KafkaTopicReader(KafkaProperties properties, const Stop& stop,
                   std::optional<std::chrono::milliseconds> patience = std::nullopt);
  ~KafkaTopicReader() override;

  std::optional<Bounds> bounds(const std::string& topic, int32_t partition) override;
  TopicRead read(const std::string& topic, int32_t partition, int64_t first, int64_t last,
                 std::chrono::milliseconds wait) override;
  void release(const std::string& topic, int32_t partition) override;

  // Every topic there is whose name begins with `prefix`, and how many partitions each has.
  std::map<std::string, int32_t> topics(const std::string& prefix);

 private:
  using Clock = std::chrono::steady_clock;

  struct Partition {
    kafka::Handle<rd_kafka_topic_t> topic;
    std::string name;
    int32_t number = 0;
    bool started = false;
    int64_t next = 0;                 // what the caller has been given ends here
    int64_t end = -1;                 // where the broker said that there is nothing more; -1: it has not
    Clock::time_point asked{};        // when that was last made sure of
    int unanswered = 0;               // how often in a row that could not be done
    std::deque<kafka::Message> held;  // received, beyond what was asked for
  };

  Partition& partition(const std::string& topic, int32_t number);
  void start(Partition& partition, int64_t offset);
  void stop(Partition& partition);
  void fetch(Partition& partition, std::chrono::milliseconds wait);
  void take_error(Partition& partition, const rd_kafka_message_t& message);
  bool still_at_end(Partition& partition);
  bool exists(const std::string& topic, int32_t partition, bool known);
  std::optional<Bounds> ask_bounds(const std::string& topic, int32_t partition);
  [[noreturn]] static void throw_deleted(const Partition& partition);
  [[noreturn]] void throw_out_of_range(const Partition& partition);
  void wait_for_broker();
  void look_for_topics();
  void heard();

  const Stop& stop_;
  const std::optional<std::chrono::milliseconds> patience_;
  std::shared_ptr<KafkaClient> client_;  // messages that are still in use keep it, too
  std::map<std::pair<std::string, int32_t>, Partition> partitions_;
  std::vector<rd_kafka_message_t*> batch_;
  Clock::time_point heard_at_ = Clock::now();  // when a broker answered last
  bool looking_ = false;
  std::optional<Clock::time_point> told_;  // when it was said that none does
};

}  // namespace anabranch
