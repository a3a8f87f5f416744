// Reads the progress topic (the order matters; every shortcut here has been a bug of somebody's):
//   1. ask where it ends as an uncommitted reader sees it: nothing committed can lie behind that;
//   2. read what is committed, from the start, until the position has passed that end. Markers of transactions are no
//      records, so it is the end-of-partition event that tells the position;
//   3. not there in time: somebody's transaction is open. Fail rather than take what was read for all there is.
// Where only what is readable now was asked for, the first end-of-partition event is the end: an open transaction is
// one, too.
#include <map>

#include <fmt/format.h>

#include "sidecar/kafka/client.hpp"
#include "sidecar/logging.hpp"
#include "sidecar/publish/partition_reader.hpp"
#include "sidecar/publish/publisher.hpp"
#include "sidecar/publish/rdkafka.hpp"

namespace anabranch {
namespace {

using Clock = std::chrono::steady_clock;
using std::chrono::milliseconds;
using namespace std::chrono_literals;

constexpr milliseconds slice = 200ms;
// Longer than a transaction may stay open.
constexpr milliseconds read_time_max = 90s;

class RdkafkaProgress final : public ProgressStore {
 public:
  RdkafkaProgress(const KafkaAccess& access, TopicAdmin& topics, std::string topic)
      : access_(access), topics_(topics), topic_(std::move(topic)) {}

  StoredProgress read(const std::string& source, Reach reach) override {
    const auto ends = topics_.ends(topic_, false);
    if (!ends || ends->empty() || ends->front() == 0) return {};
    if (ends->size() != 1)
      throw ProducerError(ProducerError::Kind::refused,
                          fmt::format("topic \"{}\" has {} partitions and must have 1: it is not "
                                      "ours; choose another kafka.prefix",
                                      topic_, ends->size()));
    try {
      return read_to(source, ends->front(), reach);
    } catch (const KafkaError& error) {
      throw producer_error(error);
    }
  }

 private:
  template <typename Parser>
  auto parse(const std::string& value, Parser parser, const std::string& where) const -> decltype(parser(value)) {
    try {
      return parser(value);
    } catch (const std::invalid_argument& error) {
      throw PublishStopped("progress_unreadable",
                           fmt::format("topic \"{}\", key \"{}\": {}", topic_, where, error.what()));
    }
  }

  StoredProgress read_to(const std::string& source, int64_t end, Reach reach) {
    KafkaClientOptions options;
    options.type = RD_KAFKA_CONSUMER;
    options.properties = for_short_reading(access_.properties);
    options.ours = {{"client.id", "anabranch-progress"},
                    {"isolation.level", "read_committed"},
                    {"enable.partition.eof", "true"},
                    {"enable.auto.commit", "false"},
                    {"auto.offset.reset", "error"},
                    {"allow.auto.create.topics", "false"},
                    {"check.crcs", "true"}};
    KafkaClient client(std::move(options));
    PartitionReader reader(client.handle(), topic_, 0);
    std::map<std::string, std::string> latest;
    std::optional<Progress> progress;
    const auto deadline = Clock::now() + read_time_max;
    int64_t position = 0;
    while (position < end) {
      const kafka::Message message = reader.next(slice);
      if (!message) {
        client.poll(0ms);
        if (Clock::now() >= deadline) {
          const auto trouble = client.trouble();
          throw ProducerError(ProducerError::Kind::passes,
                              fmt::format("topic \"{}\" could be read up to offset {} of {} within {} s: {}", topic_,
                                          position, end, read_time_max / 1s,
                                          trouble ? trouble->message() : "a transaction of another producer is open"));
        }
        if (access_.while_waiting) access_.while_waiting();
        continue;
      }
      if (message->err == RD_KAFKA_RESP_ERR__PARTITION_EOF) {
        position = message->offset;
        if (reach == Reach::readable) break;
        if (position < end && access_.while_waiting) access_.while_waiting();
        continue;
      }
      kafka::check(message->err, "reading topic \"" + topic_ + "\"", client.handle());
      position = message->offset + 1;
      const std::string key(static_cast<const char*>(message->key), message->key_len);
      if (message->payload == nullptr) {
        latest.erase(key);
        if (key == source) progress.reset();
        continue;
      }
      std::string value(static_cast<const char*>(message->payload), message->len);
      if (key == source) note(progress, value, message->offset);
      latest[key] = std::move(value);
    }
    StoredProgress stored;
    stored.progress = progress;
    stored.whole = position >= end;
    for (const auto& [key, value] : latest) {
      if (is_content_key(source, key)) {
        stored.content.push_back(parse(value, read_content_progress, key));
        continue;
      }
      const size_t slash = key.find('/');
      if (slash == std::string::npos) {
        if (key != source) stored.other_sources.push_back(key);
      } else if (key.substr(0, slash) == source) {
        stored.topics.push_back(parse(value, read_topic_position, key));
      }
    }
    return stored;
  }

  void note(std::optional<Progress>& progress, const std::string& value, int64_t offset) const {
    const Progress next = parse(value, read_progress, topic_);
    // Only adopting another server or another slot may take it back.
    if (progress && next.lsn < progress->lsn && next.adopted_from.empty())
      throw PublishStopped(
          "progress_fell",
          fmt::format("the progress in topic \"{}\" falls from {} to {} at offset {}: somebody else writes to "
                      "it, or two programs have published under one prefix",
                      topic_, progress->lsn.to_string(), next.lsn.to_string(), offset));
    progress = next;
  }

  const KafkaAccess& access_;
  TopicAdmin& topics_;
  const std::string topic_;
};

}  // namespace

std::unique_ptr<ProgressStore> make_rdkafka_progress(const KafkaAccess& access, TopicAdmin& topics, std::string topic) {
  return std::make_unique<RdkafkaProgress>(access, topics, std::move(topic));
}

}  // namespace anabranch
