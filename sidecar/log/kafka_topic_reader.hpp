// Topics as librdkafka reads them.
#pragma once

#include <chrono>
#include <cstddef>
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

// Each partition that somebody reads has a queue of its own, which librdkafka fills ahead: to its share of one bound,
// the smaller, the more partitions there are. No consumer group takes part: positions are the caller's. Throws
// KafkaError for what will not pass by itself (no right to read a topic, for one). Trouble with the brokers is waited
// out, and said: once, and again while it lasts.
class KafkaTopicReader final : public TopicReader {
 public:
  // `properties` are the user's. `stop` must outlive the object: once it is requested every wait throws Interrupted.
  // `patience`: brokers that say nothing for so long are given up with a KafkaError; nullopt: they are waited for.
  // `read_ahead_bytes_max`: memory for what is read ahead of all partitions; each may have what a step brings, too,
  // which is 4 kB (as compressed) or one batch of the producer's, if that is more. Throws KafkaPropertyError and
  // KafkaError.
  KafkaTopicReader(const KafkaProperties& properties, const Stop& stop,
                   std::optional<std::chrono::milliseconds> patience = std::nullopt,
                   size_t read_ahead_bytes_max = size_t{40} << 20);
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
    size_t taken_bytes = 0;           // from its queue since librdkafka was made to look at that
  };

  void connect();
  void renew();
  Partition& partition(const std::string& topic, int32_t number);
  void start(Partition& partition, int64_t offset);
  void stop(Partition& partition);
  void fetch(Partition& partition, std::chrono::milliseconds wait);
  bool take(Partition& partition, size_t messages_max, std::chrono::milliseconds wait);
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
  const KafkaProperties properties_;  // the user's, files read: a client that comes later has the same
  const size_t read_ahead_bytes_max_;
  size_t partitions_max_;                // that the client's bounds divide the read-ahead among
  std::shared_ptr<KafkaClient> client_;  // messages that are still in use keep it, too
  std::map<std::pair<std::string, int32_t>, Partition> partitions_;
  size_t started_ = 0;  // of them
  std::vector<rd_kafka_message_t*> batch_;
  Clock::time_point heard_at_ = Clock::now();  // when a broker answered last
  bool looking_ = false;
  std::optional<Clock::time_point> told_;  // when it was said that none does
};

}  // namespace anabranch
