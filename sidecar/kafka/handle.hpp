// librdkafka's handles, each with its owner.
#pragma once

#include <memory>

#include <librdkafka/rdkafka.h>

namespace anabranch::kafka {

// Whatever came out of a rd_kafka_t (messages, queues, topics, events, metadata) must be gone before it is.
struct Deleter {
  // Never waits for a consumer group: readers assign their partitions themselves.
  void operator()(rd_kafka_t* handle) const noexcept {
    rd_kafka_destroy_flags(handle, RD_KAFKA_DESTROY_F_NO_CONSUMER_CLOSE);
  }
  void operator()(rd_kafka_conf_t* handle) const noexcept { rd_kafka_conf_destroy(handle); }
  void operator()(rd_kafka_topic_t* handle) const noexcept { rd_kafka_topic_destroy(handle); }
  void operator()(rd_kafka_message_t* handle) const noexcept { rd_kafka_message_destroy(handle); }
  void operator()(rd_kafka_headers_t* handle) const noexcept { rd_kafka_headers_destroy(handle); }
  void operator()(rd_kafka_queue_t* handle) const noexcept { rd_kafka_queue_destroy(handle); }
  void operator()(rd_kafka_event_t* handle) const noexcept { rd_kafka_event_destroy(handle); }
  void operator()(rd_kafka_error_t* handle) const noexcept { rd_kafka_error_destroy(handle); }
  void operator()(const rd_kafka_metadata_t* handle) const noexcept { rd_kafka_metadata_destroy(handle); }
  void operator()(rd_kafka_NewTopic_t* handle) const noexcept { rd_kafka_NewTopic_destroy(handle); }
  void operator()(rd_kafka_ConfigResource_t* handle) const noexcept { rd_kafka_ConfigResource_destroy(handle); }
};

template <class T>
using Handle = std::unique_ptr<T, Deleter>;

using Configuration = Handle<rd_kafka_conf_t>;
using Message = Handle<rd_kafka_message_t>;
using Headers = Handle<rd_kafka_headers_t>;
using Queue = Handle<rd_kafka_queue_t>;
using Event = Handle<rd_kafka_event_t>;
using Metadata = Handle<const rd_kafka_metadata_t>;
using NewTopic = Handle<rd_kafka_NewTopic_t>;
using ConfigResource = Handle<rd_kafka_ConfigResource_t>;

}  // namespace anabranch::kafka
