// Reads one partition from its beginning.
#pragma once

#include <chrono>
#include <string>

#include "sidecar/kafka/error.hpp"
#include "sidecar/kafka/handle.hpp"
#include "sidecar/kafka/properties.hpp"

namespace anabranch {

// What a user gave, but that a broker says soon that nothing more is there, whatever suits readers that stay.
inline KafkaProperties for_short_reading(KafkaProperties properties) {
  properties["fetch.wait.max.ms"] = "20";
  return properties;
}

// The records of a partition, for the time of one reading. `client` is a consumer, which must outlive this.
class PartitionReader {
 public:
  // Throws KafkaError.
  PartitionReader(rd_kafka_t* client, const std::string& topic, int32_t partition)
      : topic_(rd_kafka_topic_new(client, topic.c_str(), nullptr)), partition_(partition) {
    if (!topic_) throw kafka::error_from(rd_kafka_last_error(), "topic " + topic, client);
    if (rd_kafka_consume_start(topic_.get(), partition_, first_offset(client, topic)) != 0)
      throw kafka::error_from(rd_kafka_last_error(), "reading topic " + topic, client);
  }
  ~PartitionReader() { rd_kafka_consume_stop(topic_.get(), partition_); }
  PartitionReader(const PartitionReader&) = delete;
  PartitionReader& operator=(const PartitionReader&) = delete;

  // A record, or an event of the partition in the place of one; null when none has come in time.
  kafka::Message next(std::chrono::milliseconds wait) {
    return kafka::Message(rd_kafka_consume(topic_.get(), partition_, static_cast<int>(wait.count())));
  }

 private:
  // Asked for here: a consumer that does not know the partition's leader yet looks for the beginning half a second
  // later.
  int64_t first_offset(rd_kafka_t* client, const std::string& topic) const {
    constexpr int wait_ms = 1000;
    int64_t low = 0, high = 0;
    return rd_kafka_query_watermark_offsets(client, topic.c_str(), partition_, &low, &high, wait_ms) ==
                   RD_KAFKA_RESP_ERR_NO_ERROR
               ? low
               : RD_KAFKA_OFFSET_BEGINNING;
  }

  kafka::Handle<rd_kafka_topic_t> topic_;
  const int32_t partition_;
};

}  // namespace anabranch
