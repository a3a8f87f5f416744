// The transactional producer. What librdkafka 2.0.2 is known for decides how it is used:
//   - No call waits long: each is made again after a slice, which librdkafka allows for init, commit and abort (it
//     resumes them). So a stop, a lost PostgreSQL session and our own watchdog are noticed, whatever librdkafka waits
//     for.
//   - Whatever is in doubt ends the producer: it has no half of KIP-890, a delayed end of one transaction could end the
//     next. The next producer's init fences the stray request by its epoch. librdkafka repeats an end by itself,
//     without a word, when a connection breaks or an answer is late: the requests that go out are counted.
//   - An abort before the first delivery report can break the producer (4849): it waits for one, or leaves the
//     transaction to the next init.
//   - Headers go through producev(), since produceva() frees them twice on errors (4628).
#include "sidecar/publish/rdkafka.hpp"

#include <array>
#include <atomic>
#include <vector>

#include <fmt/format.h>

#include "sidecar/failpoint.hpp"
#include "sidecar/kafka/client.hpp"
#include "sidecar/logging.hpp"

namespace anabranch {
namespace {

using Clock = std::chrono::steady_clock;
using std::chrono::milliseconds;
using namespace std::chrono_literals;

// Goes on while the machine sleeps, and brokers do not.
using WallClock = std::chrono::system_clock;

constexpr milliseconds slice = 200ms;
constexpr milliseconds transaction_timeout = 60s;
// Below the transaction's timeout, as librdkafka demands.
constexpr milliseconds message_timeout = 40s;
// Nothing has moved for so long: this client will not get over it (4970).
constexpr milliseconds watchdog_time = 45s;
constexpr milliseconds init_time_max = 60s;
constexpr milliseconds commit_time_max = transaction_timeout + 30s;
constexpr milliseconds abort_time_max = 2s;
// Delivery reports are fetched each so many records.
constexpr int poll_each = 256;
// AddPartitionsToTxn and EndTxn in Kafka's protocol.
constexpr int16_t add_partitions_api = 24, end_transaction_api = 26;
// After so long librdkafka asks again for partitions that a coordinator would not add yet.
constexpr std::chrono::microseconds add_again_time = 20ms;

class RdkafkaProducer final : public TransactionProducer {
 public:
  explicit RdkafkaProducer(const KafkaAccess& access)
      : access_(access), client_(options(access)), moved_(Clock::now()) {}

  ~RdkafkaProducer() override {
    // What is under way points into memory that will be gone.
    rd_kafka_purge(client_.handle(), RD_KAFKA_PURGE_F_QUEUE | RD_KAFKA_PURGE_F_INFLIGHT);
    poll(0ms);
    topics_.clear();
  }

  void init() override {
    const auto deadline = Clock::now() + init_time_max;
    client_.clear_trouble();
    for (;;) {
      rd_kafka_error_t* error = rd_kafka_init_transactions(client_.handle(), static_cast<int>(slice.count()));
      if (error == nullptr) break;
      const KafkaError failure = kafka::error_from(error, "initialising the producer");
      if (!failure.retriable()) throw producer_error(failure);
      poll(0ms);
      // Bad credentials and certificates are told here only; librdkafka would go on trying.
      if (const auto trouble = client_.trouble();
          trouble && producer_error(*trouble).kind() == ProducerError::Kind::refused)
        throw producer_error(*trouble);
      if (Clock::now() >= deadline) {
        const auto trouble = client_.trouble();
        throw ProducerError(ProducerError::Kind::passes,
                            fmt::format("no broker has made us its producer within {} s: {}", init_time_max / 1s,
                                        trouble ? trouble->message() : failure.message()));
      }
      wait_hook();
    }
    moved_ = Clock::now();
  }

  TopicHandle open_topic(const std::string& name) override {
    kafka::Handle<rd_kafka_topic_t> topic(rd_kafka_topic_new(client_.handle(), name.c_str(), nullptr));
    if (!topic) throw producer_error(kafka::error_from(rd_kafka_last_error(), "topic " + name, client_.handle()));
    topics_.push_back(std::move(topic));
    return {static_cast<int>(topics_.size()) - 1};
  }

  void begin() override {
    // A fatal error would make the call hang in some versions (4420).
    if (const auto fatal = client_.fatal_error()) throw producer_error(*fatal);
    check(rd_kafka_begin_transaction(client_.handle()), "beginning a transaction");
    begun_ = true;
    begun_at_ = WallClock::now();
    produced_ = reported_ = 0;
    partitions_sent_ = 0;
    added_again_ = false;
    moved_ = Clock::now();
  }

  void produce(const OutgoingRecord& record, Delivery* delivery) override {
    rd_kafka_headers_t* headers = nullptr;
    if (!record.headers.empty()) {
      headers = rd_kafka_headers_new(record.headers.size());
      for (const RecordHeader& header : record.headers)
        rd_kafka_header_add(headers, header.name.data(), static_cast<ssize_t>(header.name.size()), header.value.data(),
                            static_cast<ssize_t>(header.value.size()));
    }
    const void* key = record.key ? (record.key->empty() ? "" : record.key->data()) : nullptr;
    const size_t key_size = record.key ? record.key->size() : 0;
    // librdkafka copies it, and asks for a pointer that it could write to.
    void* value = record.value ? const_cast<char*>(record.value->empty() ? "" : record.value->data()) : nullptr;
    const size_t value_size = record.value ? record.value->size() : 0;
    for (;;) {
      const auto code =
          headers == nullptr
              ? rd_kafka_producev(client_.handle(), RD_KAFKA_V_RKT(topic(record.topic)),
                                  RD_KAFKA_V_PARTITION(record.partition), RD_KAFKA_V_KEY(key, key_size),
                                  RD_KAFKA_V_VALUE(value, value_size), RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY),
                                  RD_KAFKA_V_OPAQUE(delivery), RD_KAFKA_V_END)
              : rd_kafka_producev(client_.handle(), RD_KAFKA_V_RKT(topic(record.topic)),
                                  RD_KAFKA_V_PARTITION(record.partition), RD_KAFKA_V_KEY(key, key_size),
                                  RD_KAFKA_V_VALUE(value, value_size), RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY),
                                  RD_KAFKA_V_OPAQUE(delivery), RD_KAFKA_V_HEADERS(headers), RD_KAFKA_V_END);
      if (code == RD_KAFKA_RESP_ERR_NO_ERROR) break;
      if (code != RD_KAFKA_RESP_ERR__QUEUE_FULL) {
        if (headers != nullptr) rd_kafka_headers_destroy(headers);
        throw failure_within(kafka::error_from(
            code, fmt::format("a record of {} bytes for topic \"{}\"", key_size + value_size, name(record.topic)),
            client_.handle()));
      }
      try {
        wait_for_reports("the brokers take no more records");
      } catch (...) {
        if (headers != nullptr) rd_kafka_headers_destroy(headers);
        throw;
      }
    }
    ++produced_;
    if (produced_ % poll_each == 0) {
      poll(0ms);
      throw_failure();
    }
  }

  void flush() override {
    while (reported_ < produced_) {
      // Ignores linger.ms while it waits.
      rd_kafka_flush(client_.handle(), static_cast<int>(slice.count()));
      throw_failure();
      if (reported_ < produced_) wait_for_reports("the brokers do not confirm records");
    }
  }

  void commit() override {
    flush();
    ends_sent_ = 0;
    const auto deadline = Clock::now() + commit_time_max;
    for (;;) {
      rd_kafka_error_t* error = rd_kafka_commit_transaction(client_.handle(), static_cast<int>(slice.count()));
      if (error == nullptr) break;
      const KafkaError failure = kafka::error_from(error, "committing a transaction");
      if (!failure.retriable()) throw failure_within(failure);
      if (Clock::now() >= deadline)
        throw ProducerError(ProducerError::Kind::passes, fmt::format("a commit is in doubt: {}", failure.message()));
      poll(0ms);
      wait_hook();
    }
    begun_ = false;
    // One of them may still be under way, and would end the next transaction before its time.
    if (const int ends = ends_sent_; ends > 1)
      throw ProducerError(ProducerError::Kind::passes,
                          fmt::format("a commit was asked for {} times before it was answered", ends));
  }

  bool begun_too_early() const override { return added_again_; }

  void abort() noexcept override {
    if (!begun_ || produced_ == 0) return;
    const auto deadline = Clock::now() + abort_time_max;
    while (reported_ == 0 && Clock::now() < deadline) poll(slice / 4);
    if (reported_ == 0) return;
    // Once: the producer is not used again, and the next one's init settles what this leaves.
    if (rd_kafka_error_t* error =
            rd_kafka_abort_transaction(client_.handle(), static_cast<int>(abort_time_max.count()))) {
      log_debug("a transaction is left to its timeout", {{"error", rd_kafka_error_string(error)}});
      rd_kafka_error_destroy(error);
    }
    begun_ = false;
  }

 private:
  KafkaClientOptions options(const KafkaAccess& access) {
    KafkaClientOptions options;
    options.type = RD_KAFKA_PRODUCER;
    options.properties = access.properties;
    // What the user may change. Small batches cost more than a few milliseconds of waiting, and flush() does not wait.
    // A record that waits takes about 1 KB here, with its headers: the queue bounds our memory.
    for (const auto& [name, value] :
         KafkaProperties{{"linger.ms", "20"},
                         {"compression.codec", "lz4"},
                         {"queue.buffering.max.messages", "50000"},
                         {"queue.buffering.max.kbytes", queue_kbytes_for(access.properties)},
                         {"socket.nagle.disable", "true"},
                         {"reconnect.backoff.max.ms", "250"}})
      options.properties.emplace(name, value);
    options.ours = {{"client.id", "anabranch"},
                    {"transactional.id", access.transactional_id},
                    {"enable.idempotence", "true"},
                    {"acks", "all"},
                    {"transaction.timeout.ms", std::to_string(transaction_timeout.count())},
                    {"message.timeout.ms", std::to_string(message_timeout.count())},
                    {"delivery.report.only.error", "false"}};
    options.delivered = [this](const rd_kafka_message_t& message) { delivered(message); };
    options.sent = [this](int16_t api) {
      if (api == add_partitions_api) note_partitions_sent();
      if (api != end_transaction_api) return;
      ++ends_sent_;
      failpoint("publish_end_sent");
    };
    return options;
  }

  // In a thread of the client's. A refusal is in the answer, which nobody is shown; that the first request is followed
  // by another so late tells it.
  void note_partitions_sent() {
    const auto now = Clock::now().time_since_epoch();
    if (partitions_sent_++ == 0)
      first_partitions_sent_ = now;
    else if (partitions_sent_ == 2)
      added_again_ = now - first_partitions_sent_.load() >= add_again_time;
  }

  // In the thread that polls, which is the publisher's.
  void delivered(const rd_kafka_message_t& message) {
    ++reported_;
    moved_ = Clock::now();
    if (message.err != RD_KAFKA_RESP_ERR_NO_ERROR) {
      if (failure_code_ == RD_KAFKA_RESP_ERR_NO_ERROR) {
        failure_code_ = message.err;
        failure_place_ =
            fmt::format("a record of {} bytes for partition {} of topic \"{}\"", message.key_len + message.len,
                        message.partition, rd_kafka_topic_name(message.rkt));
      }
      return;
    }
    auto* delivery = static_cast<Delivery*>(message._private);
    if (delivery == nullptr) return;
    if (delivery->count++ == 0) {
      delivery->first_offset = delivery->last_offset = message.offset;
      return;
    }
    delivery->first_offset = std::min(delivery->first_offset, message.offset);
    delivery->last_offset = std::max(delivery->last_offset, message.offset);
  }

  // Of a call within a transaction. Brokers that end a transaction because it is open for too long fence its producer
  // as another process would; whether there is another, the progress says.
  ProducerError failure_within(const KafkaError& error) const {
    ProducerError verdict = producer_error(error);
    const auto open = WallClock::now() - begun_at_;
    if (verdict.kind() != ProducerError::Kind::fenced || !begun_ || open < transaction_timeout) return verdict;
    return {ProducerError::Kind::passes,
            fmt::format("the brokers have ended a transaction that was open for {} s: {}", open / 1s, verdict.what())};
  }

  void throw_failure() {
    if (failure_code_ == RD_KAFKA_RESP_ERR_NO_ERROR) return;
    throw failure_within(kafka::error_from(failure_code_, failure_place_, client_.handle()));
  }

  void wait_for_reports(const char* otherwise) {
    poll(slice / 4);
    throw_failure();
    if (const auto fatal = client_.fatal_error()) throw failure_within(*fatal);
    if (Clock::now() - moved_ >= watchdog_time) {
      const auto trouble = client_.trouble();
      throw ProducerError(ProducerError::Kind::passes,
                          fmt::format("{} since {} s: {}", otherwise, watchdog_time / 1s,
                                      trouble ? trouble->message() : "no reason is known"));
    }
    wait_hook();
  }

  void wait_hook() {
    if (access_.while_waiting) access_.while_waiting();
  }
  void poll(milliseconds time) { client_.poll(time); }
  rd_kafka_topic_t* topic(TopicHandle handle) { return topics_[static_cast<size_t>(handle.number)].get(); }
  const char* name(TopicHandle handle) { return rd_kafka_topic_name(topic(handle)); }

  static void check(rd_kafka_error_t* error, const char* what) {
    if (error != nullptr) throw producer_error(kafka::error_from(error, what));
  }

  const KafkaAccess& access_;
  // Before the client, whose threads count.
  std::atomic<int> ends_sent_ = 0;        // since commit() was called
  std::atomic<int> partitions_sent_ = 0;  // requests, since begin()
  std::atomic<Clock::duration> first_partitions_sent_ = Clock::duration::zero();
  std::atomic<bool> added_again_ = false;
  KafkaClient client_;
  std::vector<kafka::Handle<rd_kafka_topic_t>> topics_;  // before the client goes
  bool begun_ = false;
  WallClock::time_point begun_at_;
  uint64_t produced_ = 0, reported_ = 0;  // in the transaction under way
  Clock::time_point moved_;               // the last delivery report
  rd_kafka_resp_err_t failure_code_ = RD_KAFKA_RESP_ERR_NO_ERROR;
  std::string failure_place_;
};

class RdkafkaProducers final : public ProducerFactory {
 public:
  explicit RdkafkaProducers(const KafkaAccess& access) : access_(access) {}
  std::unique_ptr<TransactionProducer> make() override {
    try {
      return std::make_unique<RdkafkaProducer>(access_);
    } catch (const KafkaError& error) {
      throw ProducerError(ProducerError::Kind::refused, error.what());
    }
  }

 private:
  const KafkaAccess& access_;
};

}  // namespace

std::string transactional_id(const std::string& prefix, const std::string& source, const std::string& system_identifier,
                             const std::string& instance) {
  return "anabranch-" + prefix + "-" + source + "-" + system_identifier + (instance.empty() ? "" : "-" + instance);
}

std::unique_ptr<ProducerFactory> make_rdkafka_producers(const KafkaAccess& access) {
  return std::make_unique<RdkafkaProducers>(access);
}

}  // namespace anabranch
