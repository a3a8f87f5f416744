#include <algorithm>
#include <array>
#include <set>
#include <unordered_map>
#include <vector>

#include <fmt/format.h>

#include "sidecar/kafka/client.hpp"
#include "sidecar/logging.hpp"
#include "sidecar/publish/partition_reader.hpp"
#include "sidecar/publish/rdkafka.hpp"

namespace anabranch {
namespace {

using Clock = std::chrono::steady_clock;
using std::chrono::milliseconds;
using namespace std::chrono_literals;

constexpr milliseconds slice = 1s;
// One question and its answer, while brokers come and go.
constexpr milliseconds answer_time_max = 60s;
// A topic that was there is gone when brokers have said so for so long.
constexpr milliseconds gone_time_min = 10s;
// So long nothing is said of it.
constexpr milliseconds patience = 3s;

using Configs = std::vector<std::pair<std::string, std::string>>;

Configs configs_of(TopicKind kind, const TopicSettings& settings) {
  if (kind == TopicKind::compacted)
    // Small segments: they are read from the start at every start of ours, and a segment being written is not
    // compacted.
    return {{"cleanup.policy", cleanup_policy(kind)},
            {"segment.bytes", std::to_string(8 << 20)},
            {"min.cleanable.dirty.ratio", "0.1"},
            {"max.compaction.lag.ms", "3600000"}};
  // Readers have a day to see that a key is gone.
  if (kind == TopicKind::latest) return {{"cleanup.policy", cleanup_policy(kind)}, {"delete.retention.ms", "86400000"}};
  return {{"cleanup.policy", cleanup_policy(kind)}, {"retention.ms", std::to_string(settings.retention.count())}};
}

int partitions_for(TopicKind kind, const TopicSettings& settings) {
  return kind == TopicKind::data || kind == TopicKind::latest ? settings.partitions : 1;
}

class RdkafkaTopics final : public TopicAdmin {
 public:
  RdkafkaTopics(const KafkaAccess& access, TopicSettings settings)
      : access_(access), settings_(settings), client_(options(access)) {}

  std::optional<TopicFacts> find(const std::string& topic) override {
    return attempt("looking for topic \"" + topic + "\"", [&]() -> std::optional<TopicFacts> {
      const int partitions = partitions_of(topic);
      if (partitions == 0) return std::nullopt;
      return TopicFacts{partitions};
    });
  }

  TopicFacts ensure(const std::string& topic, TopicKind kind) override {
    std::optional<TopicFacts> facts = find(topic);
    if (!facts) {
      if (!settings_.create)
        throw ProducerError(ProducerError::Kind::refused,
                            fmt::format("topic \"{}\" does not exist, and kafka.create_topics is false: create it ({})",
                                        topic, advice(kind)));
      create(topic, kind);
      facts = find(topic);
      if (!facts)
        throw ProducerError(ProducerError::Kind::passes,
                            fmt::format("topic \"{}\" was created and is not there", topic));
    } else {
      check_policy(topic, kind);
    }
    if (kind != TopicKind::data && kind != TopicKind::latest && facts->partitions != 1)
      throw ProducerError(
          ProducerError::Kind::refused,
          fmt::format("topic \"{}\" has {} partitions and must have 1: delete it, if it is not in use by "
                      "somebody else, or choose another kafka.prefix",
                      topic, facts->partitions));
    return *facts;
  }

  std::optional<std::vector<int64_t>> ends(const std::string& topic, bool expected) override {
    const auto denied_until = Clock::now() + gone_time_min;
    for (;;) {
      auto found = ends_now(topic);
      if (found) seen_.insert(topic);
      if (found || !(expected || seen_.contains(topic)) || Clock::now() >= denied_until) return found;
      if (access_.while_waiting) access_.while_waiting();
      client_.poll(100ms);
    }
  }

  bool holds_others_records(const std::string& topic) override {
    return attempt("looking into topic \"" + topic + "\"", [&] {
      const int partitions = partitions_of(topic);
      for (int partition = 0; partition < partitions; ++partition) {
        const auto [low, high] = watermarks(topic, partition);
        if (low < high && !begins_with_ours(topic, partition)) return true;
      }
      return false;
    });
  }

  std::string cluster_id() override {
    return attempt("asking for the cluster", [&] { return client_.cluster_id(slice); });
  }

 private:
  std::optional<std::vector<int64_t>> ends_now(const std::string& topic) {
    return attempt("asking for the end of topic \"" + topic + "\"", [&]() -> std::optional<std::vector<int64_t>> {
      const int partitions = partitions_of(topic);
      if (partitions == 0) return std::nullopt;
      std::vector<int64_t> ends;
      for (int partition = 0; partition < partitions; ++partition) ends.push_back(watermarks(topic, partition).high);
      return ends;
    });
  }

  static KafkaClientOptions options(const KafkaAccess& access) {
    KafkaClientOptions options;
    options.type = RD_KAFKA_CONSUMER;
    options.properties = for_short_reading(access.properties);
    // Ends of partitions are asked for as an uncommitted reader sees them. A consumer never makes a topic by asking for
    // it.
    options.ours = {{"client.id", "anabranch-topics"},
                    {"isolation.level", "read_uncommitted"},
                    {"enable.partition.eof", "true"},
                    {"auto.offset.reset", "earliest"},
                    {"allow.auto.create.topics", "false"}};
    return options;
  }

  // Again and again until it succeeds, fails for good, or takes too long.
  template <typename Body>
  auto attempt(const std::string& what, Body body) -> decltype(body()) {
    const auto began = Clock::now();
    const auto deadline = began + answer_time_max;
    bool told = false;
    client_.clear_trouble();
    for (;;) {
      try {
        return body();
      } catch (const KafkaError& error) {
        const ProducerError verdict = producer_error(error);
        client_.poll(0ms);
        const auto trouble = client_.trouble();
        if (verdict.kind() != ProducerError::Kind::passes) throw verdict;
        if (trouble && producer_error(*trouble).kind() == ProducerError::Kind::refused) throw producer_error(*trouble);
        if (Clock::now() >= deadline)
          throw ProducerError(ProducerError::Kind::passes,
                              fmt::format("{}: {}", what, trouble ? trouble->message() : verdict.what()));
        if (!told && Clock::now() - began >= patience) {
          log_warning("Kafka does not answer, waiting for it",
                      {{"for", what}, {"error", trouble ? trouble->message() : verdict.what()}});
          told = true;
        }
      }
      if (access_.while_waiting) access_.while_waiting();
      client_.poll(100ms);
    }
  }

  struct Watermarks {
    int64_t low = 0, high = 0;
  };
  Watermarks watermarks(const std::string& topic, int partition) {
    Watermarks found;
    kafka::check(rd_kafka_query_watermark_offsets(client_.handle(), topic.c_str(), partition, &found.low, &found.high,
                                                  static_cast<int>(slice.count())),
                 fmt::format("the end of partition {} of topic \"{}\"", partition, topic), client_.handle());
    return found;
  }

  // Also where nothing but marks of transactions is left. What we have not committed is ours, too.
  bool begins_with_ours(const std::string& topic, int partition) {
    PartitionReader reader(client_.handle(), topic, partition);
    const auto deadline = Clock::now() + answer_time_max;
    for (;;) {
      const kafka::Message message = reader.next(200ms);
      if (message && message->err == RD_KAFKA_RESP_ERR__PARTITION_EOF) return true;
      if (message && message->err == RD_KAFKA_RESP_ERR_NO_ERROR) {
        rd_kafka_headers_t* headers = nullptr;  // the message's
        const void* value = nullptr;
        size_t size = 0;
        return rd_kafka_message_headers(message.get(), &headers) == RD_KAFKA_RESP_ERR_NO_ERROR &&
               rd_kafka_header_get_last(headers, "lsn", &value, &size) == RD_KAFKA_RESP_ERR_NO_ERROR &&
               rd_kafka_header_get_last(headers, "number", &value, &size) == RD_KAFKA_RESP_ERR_NO_ERROR;
      }
      if (Clock::now() >= deadline) throw KafkaError(RD_KAFKA_RESP_ERR__TIMED_OUT, "the first record does not come");
      if (message) kafka::check(message->err, "reading topic \"" + topic + "\"", client_.handle());
      if (access_.while_waiting) access_.while_waiting();
    }
  }

  // 0: there is no such topic. Every partition has a leader.
  int partitions_of(const std::string& topic) {
    const kafka::Handle<rd_kafka_topic_t> asked(rd_kafka_topic_new(client_.handle(), topic.c_str(), nullptr));
    if (!asked) throw kafka::error_from(rd_kafka_last_error(), "topic " + topic, client_.handle());
    const rd_kafka_metadata_t* answer = nullptr;
    kafka::check(rd_kafka_metadata(client_.handle(), 0, asked.get(), &answer, static_cast<int>(slice.count())),
                 "asking for topic \"" + topic + "\"", client_.handle());
    const kafka::Metadata owned(answer);
    if (answer->topic_cnt != 1) throw KafkaError(RD_KAFKA_RESP_ERR__BAD_MSG, "the broker answers for no topic");
    const rd_kafka_metadata_topic& found = answer->topics[0];
    if (found.err == RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART) return 0;
    kafka::check(found.err, "topic \"" + topic + "\"", client_.handle());
    for (int i = 0; i < found.partition_cnt; ++i)
      if (found.partitions[i].leader < 0)
        throw KafkaError(RD_KAFKA_RESP_ERR_LEADER_NOT_AVAILABLE,
                         fmt::format("partition {} of topic \"{}\" has no leader", found.partitions[i].id, topic));
    return found.partition_cnt;
  }

  std::string advice(TopicKind kind) const {
    std::string text = fmt::format("--partitions {}", partitions_for(kind, settings_));
    for (const auto& [name, value] : configs_of(kind, settings_)) text += fmt::format(" --config {}={}", name, value);
    return text;
  }

  // Waits for the answer of an admin request; the event is of `type`.
  kafka::Event answer_of(const kafka::Queue& queue, rd_kafka_event_type_t type, const std::string& what) {
    const auto deadline = Clock::now() + answer_time_max;
    for (;;) {
      kafka::Event event(rd_kafka_queue_poll(queue.get(), static_cast<int>(milliseconds(200ms).count())));
      if (event && rd_kafka_event_type(event.get()) == type) {
        kafka::check(rd_kafka_event_error(event.get()), what, client_.handle());
        return event;
      }
      if (Clock::now() >= deadline) throw KafkaError(RD_KAFKA_RESP_ERR__TIMED_OUT, what + ": no answer");
      if (access_.while_waiting) access_.while_waiting();
    }
  }

  void create(const std::string& topic, TopicKind kind) {
    const std::string what = "creating topic \"" + topic + "\"";
    attempt(what, [&] {
      std::array<char, 512> reason{};
      const kafka::NewTopic wanted(rd_kafka_NewTopic_new(topic.c_str(), partitions_for(kind, settings_),
                                                         settings_.replication_factor, reason.data(), reason.size()));
      if (!wanted) throw KafkaError(RD_KAFKA_RESP_ERR__INVALID_ARG, fmt::format("{}: {}", what, reason.data()));
      for (const auto& [name, value] : configs_of(kind, settings_))
        kafka::check(rd_kafka_NewTopic_set_config(wanted.get(), name.c_str(), value.c_str()), what, client_.handle());
      const kafka::Queue queue(rd_kafka_queue_new(client_.handle()));
      rd_kafka_NewTopic_t* list[] = {wanted.get()};
      rd_kafka_CreateTopics(client_.handle(), list, 1, nullptr, queue.get());
      const kafka::Event event = answer_of(queue, RD_KAFKA_EVENT_CREATETOPICS_RESULT, what);
      size_t count = 0;
      const auto** results =
          rd_kafka_CreateTopics_result_topics(rd_kafka_event_CreateTopics_result(event.get()), &count);
      for (size_t i = 0; i < count; ++i) {
        const auto code = rd_kafka_topic_result_error(results[i]);
        const char* text = rd_kafka_topic_result_error_string(results[i]);
        if (code != RD_KAFKA_RESP_ERR_NO_ERROR && code != RD_KAFKA_RESP_ERR_TOPIC_ALREADY_EXISTS)
          throw KafkaError(code, fmt::format("{}: {}", what, text != nullptr ? text : rd_kafka_err2str(code)));
      }
      return true;
    });
    log_info("topic created", {{"topic", topic}});
    // It takes a moment until every broker knows it and its partitions have leaders.
    attempt("waiting for topic \"" + topic + "\"", [&] {
      if (partitions_of(topic) == 0)
        throw KafkaError(RD_KAFKA_RESP_ERR_LEADER_NOT_AVAILABLE, "the topic is not there yet");
      return true;
    });
  }

  // A topic that was there before: what would lose records, or keep none, is refused. Where we may not ask, nobody
  // knows.
  void check_policy(const std::string& topic, TopicKind kind) {
    const kafka::ConfigResource resource(rd_kafka_ConfigResource_new(RD_KAFKA_RESOURCE_TOPIC, topic.c_str()));
    const kafka::Queue queue(rd_kafka_queue_new(client_.handle()));
    rd_kafka_ConfigResource_t* list[] = {resource.get()};
    rd_kafka_DescribeConfigs(client_.handle(), list, 1, nullptr, queue.get());
    std::string policy;
    try {
      const kafka::Event event =
          answer_of(queue, RD_KAFKA_EVENT_DESCRIBECONFIGS_RESULT, "asking for the settings of topic \"" + topic + "\"");
      size_t resources = 0;
      const auto** answers =
          rd_kafka_DescribeConfigs_result_resources(rd_kafka_event_DescribeConfigs_result(event.get()), &resources);
      for (size_t i = 0; i < resources; ++i) {
        kafka::check(rd_kafka_ConfigResource_error(answers[i]), "the settings of topic \"" + topic + "\"",
                     client_.handle());
        size_t entries = 0;
        const auto** configs = rd_kafka_ConfigResource_configs(answers[i], &entries);
        for (size_t j = 0; j < entries; ++j) {
          const std::string_view name = rd_kafka_ConfigEntry_name(configs[j]);
          const char* value = rd_kafka_ConfigEntry_value(configs[j]);
          if (name == "cleanup.policy" && value != nullptr) policy = value;
        }
      }
    } catch (const KafkaError& error) {
      log_debug("the settings of a topic could not be looked at", {{"topic", topic}, {"error", error.what()}});
      return;
    }
    if (policy.empty() || policy == cleanup_policy(kind)) return;
    throw ProducerError(
        ProducerError::Kind::refused,
        fmt::format(
            "topic \"{}\" has cleanup.policy = {}, and must have {}: alter it, or choose another kafka.prefix if the "
            "topic belongs to somebody else",
            topic, policy, cleanup_policy(kind)));
  }

  const KafkaAccess& access_;
  const TopicSettings settings_;
  std::set<std::string> seen_;
  KafkaClient client_;
};

}  // namespace

std::unique_ptr<TopicAdmin> make_rdkafka_topics(const KafkaAccess& access, TopicSettings settings) {
  return std::make_unique<RdkafkaTopics>(access, settings);
}

}  // namespace anabranch
