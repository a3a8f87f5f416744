// How the read-ahead is bounded: librdkafka's bounds are those of one partition, and those of a client for its life. So
// the bound of all is divided by the number of partitions that the client is made for, and when there are more, a
// client for four times as many takes its place. All of them have to be begun anew then, but that is seldom: five times
// for 10,000 partitions. To stop some for the benefit of others would be frequent where they are read in turns.
#include "sidecar/log/kafka_topic_reader.hpp"

#include <algorithm>
#include <future>
#include <thread>
#include <utility>

#include <malloc.h>

#include <fmt/format.h>

#include "sidecar/log/change_log.hpp"
#include "sidecar/logging.hpp"

namespace anabranch {
namespace {

using std::chrono::milliseconds;
using namespace std::chrono_literals;

constexpr milliseconds slice = 100ms;  // how late a stop may be seen
constexpr milliseconds request_wait = 500ms;
constexpr milliseconds end_interval = 500ms;     // between two questions whether a partition still ends there
constexpr milliseconds silence_told_after = 2s;  // with silence, before it is told
constexpr milliseconds tell_interval = 30s;
constexpr int unanswered_max = 4;
// A topic may be missing from a broker's answers for a moment; one that was there, while a controller starts anew.
constexpr int gone_answers_min = 3;
constexpr milliseconds gone_time_min = 10s;
constexpr milliseconds end_wait_max = 3s;
constexpr size_t batch_records_max = 1'000;
constexpr size_t partitions_first = 16;
constexpr size_t partitions_factor = 4;
// What librdkafka takes for a record beside its key and value: itself, headers, frames.
constexpr size_t record_overhead = 800;
constexpr size_t step_bytes_min = size_t{4} << 10;
constexpr milliseconds under_way_wait = 2ms;  // for what a broker has sent already
constexpr int64_t skip_max = 1'000;           // so many offsets are read and dropped rather than begun anew

// What this reader rests on.
const KafkaProperties ours = {{"isolation.level", "read_committed"}, {"enable.partition.eof", "true"},
                              {"auto.offset.reset", "error"},        {"enable.auto.commit", "false"},
                              {"enable.auto.offset.store", "false"}, {"allow.auto.create.topics", "false"}};

// What a user may set otherwise. Of a partition's share one half is for values, of which librdkafka counts the bytes,
// and one for what records take beside them, of which it counts the number. A step comes on top of what is there, and
// is compressed: unpacked, as records, it takes ten times as much. librdkafka bounds an answer for many partitions by
// the bytes of a share (or by the largest record, 1 MB).
KafkaProperties defaults_for(size_t share) {
  return {{"queued.max.messages.kbytes", std::to_string(std::max<size_t>(share / 2 / 1000, 1))},
          {"queued.min.messages", std::to_string(std::max<size_t>(share / 2 / record_overhead, 1))},
          {"fetch.message.max.bytes", std::to_string(std::max(share / 32, step_bytes_min))},
          {"fetch.wait.max.ms", "100"},
          {"check.crcs", "true"}};
}

bool is_unknown_topic(rd_kafka_resp_err_t code) {
  return code == RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART || code == RD_KAFKA_RESP_ERR__UNKNOWN_TOPIC ||
         code == RD_KAFKA_RESP_ERR__UNKNOWN_PARTITION;
}

bool is_forbidden(rd_kafka_resp_err_t code) {
  return code == RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED || code == RD_KAFKA_RESP_ERR_CLUSTER_AUTHORIZATION_FAILED;
}

// Takes them from the message: they need more memory than a small row.
RecordHeaders headers_of(rd_kafka_message_t& message, std::vector<kafka::Headers>& storage) {
  RecordHeaders found;
  rd_kafka_headers_t* headers = nullptr;
  if (rd_kafka_message_detach_headers(&message, &headers) != RD_KAFKA_RESP_ERR_NO_ERROR) return found;
  storage.emplace_back(headers);
  const char* name = nullptr;
  const void* value = nullptr;
  size_t size = 0;
  for (size_t i = 0; rd_kafka_header_get_all(headers, i, &name, &value, &size) == RD_KAFKA_RESP_ERR_NO_ERROR; ++i) {
    const std::string_view text(static_cast<const char*>(value), value == nullptr ? 0 : size);
    const std::string_view of(name);
    if (of == "lsn") {
      found.lsn = text;
    } else if (of == "number") {
      found.number = text;
    } else if (of == "xid") {
      found.xid = text;
    } else if (of == "op") {
      found.op = text;
    } else if (of == "generation") {
      found.generation = text;
    } else if (of == "relation") {
      found.relation = text;
    } else if (of == "fragment") {
      found.fragment = text;
    }
  }
  return found;
}

TopicRecord record_of(rd_kafka_message_t& message, std::vector<kafka::Headers>& headers) {
  TopicRecord record;
  record.offset = message.offset;
  if (message.key != nullptr) record.key = {static_cast<const char*>(message.key), message.key_len};
  record.has_value = message.payload != nullptr;
  if (record.has_value) record.value = {static_cast<const char*>(message.payload), message.len};
  record.headers = headers_of(message, headers);
  return record;
}

// What the records of one read point into.
struct Messages {
  std::shared_ptr<KafkaClient> client;  // goes last
  std::vector<kafka::Message> messages;
};

// librdkafka 2.0.2 waits for ever when a consumer ends whose topic was deleted: what cannot end is left behind.
void end_client(KafkaClient* client) {
  const auto ended = std::make_shared<std::promise<void>>();
  auto end = ended->get_future();
  std::thread([client, ended] {
    delete client;
    ended->set_value();
  }).detach();
  if (end.wait_for(end_wait_max) == std::future_status::timeout)
    log_debug("a Kafka client does not end, and is left behind");
}

KafkaClientOptions client_options(KafkaProperties properties, size_t share) {
  for (const auto& [name, value] : defaults_for(share)) properties.try_emplace(name, value);
  KafkaClientOptions options;
  options.type = RD_KAFKA_CONSUMER;
  options.properties = std::move(properties);
  options.ours = ours;
  return options;
}

}  // namespace

KafkaTopicReader::KafkaTopicReader(const KafkaProperties& properties, const Stop& stop,
                                   std::optional<milliseconds> patience, size_t read_ahead_bytes_max)
    : stop_(stop),
      patience_(patience),
      properties_(with_files_read(properties)),
      read_ahead_bytes_max_(read_ahead_bytes_max),
      partitions_max_(partitions_first),
      batch_(batch_records_max) {
  connect();
}

KafkaTopicReader::~KafkaTopicReader() {
  for (auto& [place, partition] : partitions_) this->stop(partition);
}

void KafkaTopicReader::connect() {
  client_.reset(new KafkaClient(client_options(properties_, read_ahead_bytes_max_ / partitions_max_)), end_client);
}

// For more partitions. Each is started again when it is read next.
void KafkaTopicReader::renew() {
  for (auto& [place, partition] : partitions_) {
    stop(partition);
    partition.topic.reset();
  }
  partitions_max_ *= partitions_factor;
  log_debug("more partitions share the read-ahead", {{"partitions_max", partitions_max_}});
  client_.reset();
  // What the client before had, in as many pieces as there were records, would not be given back otherwise.
  malloc_trim(0);
  connect();
}

// --- The brokers ----------------------------------------------------------------------------------------------------

void KafkaTopicReader::wait_for_broker() {
  if (stop_.requested()) throw Interrupted();
  client_->poll(0ms);
  const auto trouble = client_->trouble();
  if (patience_ && Clock::now() > heard_at_ + *patience_)
    throw trouble ? *trouble : KafkaError(RD_KAFKA_RESP_ERR__TIMED_OUT, "no broker answers");
  if (!trouble) return;
  if (is_forbidden(trouble->code())) throw KafkaError(*trouble);
  if (is_unknown_topic(trouble->code())) return look_for_topics();
  // A connection that was closed for being idle is made again before anybody notices.
  const auto now = Clock::now();
  if (now < heard_at_ + silence_told_after || (told_ && now < *told_ + tell_interval)) return;
  told_ = now;
  log_warning("Kafka does not answer, waiting for it", {{"error", trouble->message()}});
}

// A broker does not know a topic of ours.
void KafkaTopicReader::look_for_topics() {
  client_->clear_trouble();
  if (looking_) return;
  looking_ = true;
  for (auto& [place, partition] : partitions_) {
    if (!partition.started || exists(partition.name, partition.number, true)) continue;
    looking_ = false;
    throw_deleted(partition);
  }
  looking_ = false;
}

void KafkaTopicReader::heard() {
  heard_at_ = Clock::now();
  client_->clear_trouble();
  if (!told_) return;
  told_.reset();
  log_info("Kafka answers again");
}

// As the broker has it now, waiting for one that answers. `known`: it was there.
bool KafkaTopicReader::exists(const std::string& topic, int32_t number, bool known) {
  std::optional<Clock::time_point> gone_since;
  const kafka::Handle<rd_kafka_topic_t> handle(rd_kafka_topic_new(client_->handle(), topic.c_str(), nullptr));
  if (!handle) kafka::check(rd_kafka_last_error(), fmt::format("topic \"{}\"", topic));
  for (int gone = 0;;) {
    const struct rd_kafka_metadata* answer = nullptr;
    const auto code =
        rd_kafka_metadata(client_->handle(), 0, handle.get(), &answer, static_cast<int>(request_wait.count()));
    const kafka::Metadata metadata(answer);
    if (code == RD_KAFKA_RESP_ERR_NO_ERROR && metadata->topic_cnt == 1) {
      heard();
      const rd_kafka_metadata_topic& found = metadata->topics[0];
      if (is_forbidden(found.err)) kafka::check(found.err, fmt::format("topic \"{}\"", topic));
      if (found.err == RD_KAFKA_RESP_ERR_NO_ERROR && number < found.partition_cnt) return true;
      if (is_unknown_topic(found.err) || found.err == RD_KAFKA_RESP_ERR_NO_ERROR) {
        if (!gone_since) gone_since = Clock::now();
        if (++gone >= gone_answers_min && (!known || Clock::now() - *gone_since >= gone_time_min)) return false;
      }
    }
    wait_for_broker();
    if (stop_.wait(slice)) throw Interrupted();
  }
}

std::optional<TopicReader::Bounds> KafkaTopicReader::ask_bounds(const std::string& topic, int32_t number) {
  Bounds bounds;
  const auto code = rd_kafka_query_watermark_offsets(client_->handle(), topic.c_str(), number, &bounds.first,
                                                     &bounds.end, static_cast<int>(request_wait.count()));
  if (code != RD_KAFKA_RESP_ERR_NO_ERROR) {
    if (is_forbidden(code)) kafka::check(code, fmt::format("topic \"{}\"", topic));
    return std::nullopt;
  }
  heard();
  return bounds;
}

std::optional<TopicReader::Bounds> KafkaTopicReader::bounds(const std::string& topic, int32_t number) {
  if (!exists(topic, number, partitions_.contains({topic, number}))) return std::nullopt;
  for (;;) {
    if (const auto bounds = ask_bounds(topic, number)) return bounds;
    wait_for_broker();
    if (stop_.wait(slice)) throw Interrupted();
  }
}

std::map<std::string, int32_t> KafkaTopicReader::topics(const std::string& prefix) {
  for (;;) {
    const struct rd_kafka_metadata* answer = nullptr;
    const auto code = rd_kafka_metadata(client_->handle(), 1, nullptr, &answer, static_cast<int>(request_wait.count()));
    const kafka::Metadata metadata(answer);
    if (code == RD_KAFKA_RESP_ERR_NO_ERROR) {
      heard();
      std::map<std::string, int32_t> found;
      for (int i = 0; i < metadata->topic_cnt; ++i) {
        const rd_kafka_metadata_topic& topic = metadata->topics[i];
        if (std::string_view(topic.topic).starts_with(prefix)) found[topic.topic] = topic.partition_cnt;
      }
      return found;
    }
    wait_for_broker();
    if (stop_.wait(slice)) throw Interrupted();
  }
}

// --- Partitions -----------------------------------------------------------------------------------------------------

KafkaTopicReader::Partition& KafkaTopicReader::partition(const std::string& topic, int32_t number) {
  const auto [found, made] = partitions_.try_emplace({topic, number});
  Partition& partition = found->second;
  if (made) {
    partition.name = topic;
    partition.number = number;
  }
  if (!partition.topic) {
    partition.topic.reset(rd_kafka_topic_new(client_->handle(), topic.c_str(), nullptr));
    if (!partition.topic) kafka::check(rd_kafka_last_error(), fmt::format("topic \"{}\"", topic));
  }
  return partition;
}

void KafkaTopicReader::start(Partition& partition, int64_t offset) {
  stop(partition);
  if (rd_kafka_consume_start(partition.topic.get(), partition.number, offset) != 0)
    kafka::check(rd_kafka_last_error(), fmt::format("reading topic \"{}\"", partition.name), client_->handle());
  partition.started = true;
  ++started_;
  partition.next = offset;
  partition.end = -1;
  partition.asked = {};
}

void KafkaTopicReader::stop(Partition& partition) {
  if (!partition.started) return;
  partition.started = false;
  --started_;
  partition.held.clear();
  rd_kafka_consume_stop(partition.topic.get(), partition.number);
  // What its queue has is of no use any more. librdkafka drops it when it is asked for it, and not before.
  const ssize_t count =
      rd_kafka_consume_batch(partition.topic.get(), partition.number, 0, batch_.data(), batch_.size());
  for (ssize_t i = 0; i < count; ++i) kafka::Message dropped(batch_[static_cast<size_t>(i)]);
}

void KafkaTopicReader::release(const std::string& topic, int32_t number) {
  const auto found = partitions_.find({topic, number});
  if (found != partitions_.end()) stop(found->second);
}

TopicRead KafkaTopicReader::read(const std::string& topic, int32_t number, int64_t first, int64_t last,
                                 milliseconds wait) {
  if (started_ >= partitions_max_) {
    const auto found = partitions_.find({topic, number});
    if (found == partitions_.end() || !found->second.started) renew();
  }
  Partition& from = partition(topic, number);
  if (!from.started || first < from.next || first - from.next > skip_max) start(from, first);
  const auto until = Clock::now() + wait;
  const auto messages = std::make_shared<Messages>();
  const auto headers = std::make_shared<std::vector<kafka::Headers>>();
  TopicRead read;
  bool passed = false;  // the next record lies beyond `last`
  for (;;) {
    while (!from.held.empty() && messages->messages.size() < batch_records_max) {
      kafka::Message& message = from.held.front();
      if (message->offset >= first) {
        if (message->offset > last) {
          passed = true;
          break;
        }
        read.records.push_back(record_of(*message, *headers));
        messages->messages.push_back(std::move(message));
      }
      from.held.pop_front();
    }
    if (!read.records.empty() || passed || from.end > last) break;
    const auto left = std::chrono::ceil<milliseconds>(until - Clock::now());
    if (left <= 0ms && !read.records.empty()) break;
    fetch(from, std::clamp(left, 0ms, slice));
    if (from.held.empty()) {
      wait_for_broker();
      if (Clock::now() >= until) break;
    }
  }
  read.next = first;
  if (!read.records.empty()) read.next = read.records.back().offset + 1;
  // Between the last record and the next, or the end, there is nothing committed.
  if (passed || from.end > last) {
    read.next = std::max(read.next, last + 1);
  } else if (from.held.empty() && from.end > read.next) {
    read.next = from.end;
  }
  from.next = read.next;
  read.at_end =
      from.held.empty() && read.records.empty() && from.end >= 0 && from.end <= read.next && still_at_end(from);
  messages->client = client_;
  read.storage = messages;
  read.headers = headers;
  return read;
}

// Waits for something to come.
void KafkaTopicReader::fetch(Partition& partition, milliseconds wait) {
  if (!take(partition, 1, std::min(wait, under_way_wait))) {
    // librdkafka looks at a queue that was full again only after up to a second, or when a broker is asked something.
    const size_t share = read_ahead_bytes_max_ / partitions_max_;
    if (std::exchange(partition.taken_bytes, 0) > share / 4) ask_bounds(partition.name, partition.number);
    if (!take(partition, 1, wait)) return;
  }
  take(partition, batch_.size(), 0ms);
}

// Up to so many messages. librdkafka waits until it has them all. False: there was none.
bool KafkaTopicReader::take(Partition& partition, size_t messages_max, milliseconds wait) {
  const ssize_t count = rd_kafka_consume_batch(partition.topic.get(), partition.number, static_cast<int>(wait.count()),
                                               batch_.data(), messages_max);
  if (count < 0)
    kafka::check(rd_kafka_last_error(), fmt::format("reading topic \"{}\"", partition.name), client_->handle());
  std::vector<kafka::Message> messages;  // owned, whatever is thrown
  messages.reserve(static_cast<size_t>(count));
  for (ssize_t i = 0; i < count; ++i) messages.emplace_back(batch_[static_cast<size_t>(i)]);
  bool received = false;
  for (kafka::Message& message : messages) {
    if (message->err != RD_KAFKA_RESP_ERR_NO_ERROR) {
      take_error(partition, *message);
      continue;
    }
    received = true;
    partition.taken_bytes += record_overhead + message->len;
    partition.end = -1;
    partition.held.push_back(std::move(message));
  }
  if (received) heard();
  return count > 0;
}

void KafkaTopicReader::take_error(Partition& partition, const rd_kafka_message_t& message) {
  if (message.err == RD_KAFKA_RESP_ERR__PARTITION_EOF) {
    partition.end = message.offset;
    return;
  }
  if (message.err == RD_KAFKA_RESP_ERR__AUTO_OFFSET_RESET || message.err == RD_KAFKA_RESP_ERR_OFFSET_OUT_OF_RANGE)
    throw_out_of_range(partition);
  if (is_unknown_topic(message.err)) {
    if (!exists(partition.name, partition.number, true)) throw_deleted(partition);
    start(partition, partition.next);
    return;
  }
  if (is_forbidden(message.err)) kafka::check(message.err, fmt::format("topic \"{}\"", partition.name));
  if (message.err == RD_KAFKA_RESP_ERR__BAD_MSG || message.err == RD_KAFKA_RESP_ERR__BAD_COMPRESSION)
    throw LogError(LogError::Kind::damaged,
                   fmt::format("topic \"{}\", partition {}, offset {}: {}", partition.name, partition.number,
                               message.offset, rd_kafka_message_errstr(&message)));
  log_debug("trouble reading a topic",
            {{"topic", partition.name}, {"partition", partition.number}, {"error", rd_kafka_err2str(message.err)}});
}

void KafkaTopicReader::throw_deleted(const Partition& partition) {
  throw LogError(LogError::Kind::gap,
                 fmt::format("topic \"{}\" does not exist any more: somebody has deleted it", partition.name));
}

void KafkaTopicReader::throw_out_of_range(const Partition& partition) {
  const auto bounds = this->bounds(partition.name, partition.number);
  const int64_t offset = partition.next;
  const std::string place = fmt::format("topic \"{}\", partition {}", partition.name, partition.number);
  if (!bounds) throw LogError(LogError::Kind::gap, fmt::format("{}, does not exist any more", place));
  throw LogError(
      LogError::Kind::gap,
      offset < bounds->first
          ? fmt::format("{}, begins at offset {}: retention has removed offset {}, which is still needed", place,
                        bounds->first, offset)
          : fmt::format("{}, ends at offset {}, before offset {}: it was deleted and made anew, or lost its end", place,
                        bounds->end, offset));
}

// The end was told once. Somebody may have written since and the broker be away: then nobody knows.
bool KafkaTopicReader::still_at_end(Partition& partition) {
  const auto now = Clock::now();
  if (now < partition.asked + end_interval) return false;
  const auto bounds = ask_bounds(partition.name, partition.number);
  if (!bounds) {
    // librdkafka goes on for long with a topic that it knew.
    if (++partition.unanswered < unanswered_max) return false;
    partition.unanswered = 0;
    if (!exists(partition.name, partition.number, true)) throw_deleted(partition);
    return false;
  }
  partition.unanswered = 0;
  partition.asked = now;
  return bounds->end <= partition.next;
}

}  // namespace anabranch
