// A Kafka of the imagination: partitions with committed, open and aborted records, fencing by epochs, and failures
// where the test wants them. Offsets of transaction markers are taken, as a broker takes them.
#pragma once

#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "sidecar/publish/producer.hpp"
#include "sidecar/publish/progress.hpp"
#include "sidecar/publish/topics.hpp"

namespace anabranch::test {

struct ModelRecord {
  int64_t offset = 0;
  std::string key, value;
  bool has_key = false, has_value = true;
  std::map<std::string, std::string> headers;
  int transaction = 0;
};

struct ModelPartition {
  std::vector<ModelRecord> records;
  int64_t next_offset = 0;
};

class KafkaModel {
 public:
  // Called before each step of a producer, by its name; may throw ProducerError.
  std::function<void(const char* step)> before_step = [](const char*) {};
  // Called after a commit has happened and before anybody has heard of it.
  std::function<void()> after_commit = [] {};
  // Whether the request of a commit is repeated, and its first copy delayed.
  std::function<bool()> repeat_commit = [] { return false; };
  std::function<bool()> delay_is_over = [] { return true; };

  std::map<std::string, std::vector<ModelPartition>> topics;
  std::set<int> committed, aborted;
  int epoch = 0, transactions = 0;
  std::string cluster = "model";
  int table_partitions = 3;

  bool is_committed(const ModelRecord& record) const { return committed.contains(record.transaction); }
  // Ends what is open as the coordinator does: markers take an offset in each partition touched.
  void settle(int transaction, bool commit, const std::set<std::pair<std::string, int>>& touched) {
    (commit ? committed : aborted).insert(transaction);
    for (const auto& [topic, partition] : touched) ++topics[topic][static_cast<size_t>(partition)].next_offset;
  }
  // As a read_committed reader sees it now: an open transaction is where it ends.
  std::vector<ModelRecord> read(const std::string& topic, size_t partition) const {
    std::vector<ModelRecord> read;
    const auto found = topics.find(topic);
    if (found == topics.end()) return read;
    for (const ModelRecord& record : found->second[partition].records) {
      if (record.transaction == open_transaction) break;
      if (is_committed(record)) read.push_back(record);
    }
    return read;
  }

  // Takes offsets of a partition, as another's records do, or marks that nobody knows of.
  void take_offsets(const std::string& topic, size_t partition, int64_t count) {
    topics.at(topic).at(partition).next_offset += count;
  }

  // The open transaction of the producer of an epoch, for the next init to abort.
  int open_transaction = 0;
  std::set<std::pair<std::string, int>> open_touched;

  // A request to commit that was repeated before it was answered, and whose first copy is still under way: the epoch
  // that it will name, 0: none. No broker or client here has KIP-890: it ends whatever that epoch has open when it
  // arrives.
  int delayed_end = 0;
  void deliver_delayed_end() {
    const bool counts = delayed_end == epoch && open_transaction != 0;
    delayed_end = 0;
    if (!counts) return;
    settle(open_transaction, true, open_touched);
    open_transaction = 0;
  }
};

class ModelProducer final : public TransactionProducer {
 public:
  explicit ModelProducer(KafkaModel& kafka) : kafka_(kafka) {}
  void init() override {
    kafka_.before_step("init");
    epoch_ = ++kafka_.epoch;
    if (kafka_.open_transaction != 0) {
      kafka_.settle(kafka_.open_transaction, false, kafka_.open_touched);
      kafka_.open_transaction = 0;
    }
  }
  TopicHandle open_topic(const std::string& name) override {
    names_.push_back(name);
    return {static_cast<int>(names_.size()) - 1};
  }
  void begin() override {
    step("begin");
    kafka_.open_transaction = transaction_ = ++kafka_.transactions;
    kafka_.open_touched.clear();
  }
  void produce(const OutgoingRecord& record, Delivery* delivery) override {
    step("produce");
    Pending& kept = pending_.emplace_back();
    kept.topic = record.topic.number;
    kept.partition = record.partition;
    kept.delivery = delivery;
    kept.has_key = record.key.has_value();
    kept.key = record.key.value_or("");
    kept.has_value = record.value.has_value();
    kept.value = record.value.value_or("");
    for (const RecordHeader& header : record.headers) kept.headers[std::string(header.name)] = header.value;
  }
  void flush() override {
    step("flush");
    for (Pending& pending : pending_) {
      const std::string& name = names_[static_cast<size_t>(pending.topic)];
      ModelPartition& partition = kafka_.topics.at(name).at(static_cast<size_t>(pending.partition));
      ModelRecord record;
      record.offset = partition.next_offset++;
      record.has_key = pending.has_key;
      record.key = pending.key;
      record.has_value = pending.has_value;
      record.value = pending.value;
      record.headers = pending.headers;
      record.transaction = transaction_;
      if (pending.delivery != nullptr) {
        if (pending.delivery->count++ == 0) pending.delivery->first_offset = record.offset;
        pending.delivery->last_offset = record.offset;
      }
      partition.records.push_back(std::move(record));
      kafka_.open_touched.insert({name, pending.partition});
    }
    pending_.clear();
  }
  void commit() override {
    step("commit");
    kafka_.settle(transaction_, true, kafka_.open_touched);
    kafka_.open_transaction = 0;
    if (kafka_.repeat_commit()) {
      kafka_.delayed_end = epoch_;
      throw ProducerError(ProducerError::Kind::passes, "a commit was asked for twice");
    }
    kafka_.after_commit();
  }
  void abort() noexcept override {
    if (epoch_ != kafka_.epoch || kafka_.open_transaction == 0) return;
    kafka_.settle(kafka_.open_transaction, false, kafka_.open_touched);
    kafka_.open_transaction = 0;
  }

 private:
  struct Pending {
    int topic;
    int32_t partition;
    Delivery* delivery;
    bool has_key, has_value;
    std::string key, value;
    std::map<std::string, std::string> headers;
  };
  void step(const char* name) {
    if (epoch_ == kafka_.epoch && kafka_.delayed_end != 0 && kafka_.delay_is_over()) kafka_.deliver_delayed_end();
    kafka_.before_step(name);
    if (epoch_ != kafka_.epoch) throw ProducerError(ProducerError::Kind::fenced, "fenced");
  }
  KafkaModel& kafka_;
  int epoch_ = 0, transaction_ = 0;
  std::vector<std::string> names_;
  std::deque<Pending> pending_;
};

class ModelProducers final : public ProducerFactory {
 public:
  explicit ModelProducers(KafkaModel& kafka) : kafka_(kafka) {}
  std::unique_ptr<TransactionProducer> make() override { return std::make_unique<ModelProducer>(kafka_); }

 private:
  KafkaModel& kafka_;
};

class ModelTopicAdmin final : public TopicAdmin {
 public:
  explicit ModelTopicAdmin(KafkaModel& kafka) : kafka_(kafka) {}
  std::optional<TopicFacts> find(const std::string& topic) override {
    const auto found = kafka_.topics.find(topic);
    if (found == kafka_.topics.end()) return std::nullopt;
    return TopicFacts{static_cast<int>(found->second.size())};
  }
  TopicFacts ensure(const std::string& topic, TopicKind kind) override {
    auto& partitions = kafka_.topics[topic];
    if (partitions.empty())
      partitions.resize(kind == TopicKind::data ? static_cast<size_t>(kafka_.table_partitions) : 1);
    return {static_cast<int>(partitions.size())};
  }
  std::set<std::string> expected;
  std::optional<std::vector<int64_t>> ends(const std::string& topic, bool was_there) override {
    if (was_there) expected.insert(topic);
    const auto found = kafka_.topics.find(topic);
    if (found == kafka_.topics.end()) return std::nullopt;
    std::vector<int64_t> ends;
    for (const ModelPartition& partition : found->second) ends.push_back(partition.next_offset);
    return ends;
  }
  bool holds_others_records(const std::string& topic) override {
    for (const ModelPartition& partition : kafka_.topics.at(topic))
      if (!partition.records.empty() && !partition.records.front().headers.contains("lsn")) return true;
    return false;
  }
  std::string cluster_id() override { return kafka_.cluster; }

 private:
  KafkaModel& kafka_;
};

class ModelProgress final : public ProgressStore {
 public:
  ModelProgress(KafkaModel& kafka, std::string topic) : kafka_(kafka), topic_(std::move(topic)) {}
  StoredProgress read(const std::string& source, Reach reach) override {
    // The real one would wait until the broker aborts it, a minute later.
    EXPECT_TRUE(reach == Reach::readable || kafka_.open_transaction == 0 || !kafka_.open_touched.contains({topic_, 0}))
        << "everything is asked for while a transaction is open";
    StoredProgress stored;
    stored.whole = kafka_.open_transaction == 0 || !kafka_.open_touched.contains({topic_, 0});
    std::map<std::string, std::string> latest;
    for (const ModelRecord& record : kafka_.read(topic_, 0)) {
      latest[record.key] = record.value;
      if (!record.has_value) latest.erase(record.key);
    }
    for (const auto& [key, value] : latest) {
      if (key == source)
        stored.progress = read_progress(value);
      else if (is_content_key(source, key))
        stored.content.push_back(read_content_progress(value));
      else if (key.starts_with(source + "/"))
        stored.topics.push_back(read_topic_position(value));
      else
        stored.other_sources.push_back(key);
    }
    return stored;
  }

 private:
  KafkaModel& kafka_;
  const std::string topic_;
};

}  // namespace anabranch::test
