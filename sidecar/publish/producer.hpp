// What the publisher needs of Kafka: a transactional producer. The real one is rdkafka_producer.cpp; tests have models.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>

namespace anabranch {

// Kafka did not do what it was asked to. After any of these the producer is of no more use: destroy it.
class ProducerError : public std::runtime_error {
 public:
  enum class Kind {
    passes,   // broker away, timeout, connection cut, sequence lost, outcome of a commit unknown: a new producer, then
              // read what is recorded. Memory decides nothing
    fenced,   // another producer with our transactional.id has been made
    refused,  // credentials, authorisation, an unsuitable broker or topic: no better before somebody has done something
    too_large  // a record that the broker does not take; its topic and size are in what()
  };
  ProducerError(Kind kind, const std::string& message) : std::runtime_error(message), kind_(kind) {}
  Kind kind() const { return kind_; }

 private:
  Kind kind_;
};

struct RecordHeader {
  std::string_view name, value;
};

// A topic as the producer numbered it.
struct TopicHandle {
  int number = -1;
};

struct OutgoingRecord {
  TopicHandle topic;
  int32_t partition = 0;
  std::optional<std::string_view> key;    // copied
  std::optional<std::string_view> value;  // copied
  std::span<const RecordHeader> headers;  // copied
};

// Where records went. Filled in until flush() has returned.
struct Delivery {
  int64_t first_offset = -1, last_offset = -1;
  uint64_t count = 0;
};

// One thread calls everything. Waits are bounded; between slices of at most 200 ms they call the `while_waiting` that
// the factory was given, which may throw to end the wait (Interrupted, PgError).
class TransactionProducer {
 public:
  // Aborts what is open, as far as that goes without waiting, and ends.
  virtual ~TransactionProducer() = default;

  // Fences every older producer of the same transactional.id, and settles what it left: what it committed shows, the
  // rest never will. To be called first, once. Throws ProducerError; waits for a broker that is away.
  virtual void init() = 0;

  // Numbers a topic that exists, for produce().
  virtual TopicHandle open_topic(const std::string& name) = 0;

  virtual void begin() = 0;

  // Hands a record over; waits while too much is under way. `delivery`, which may be shared by the records of one
  // partition and may be null, must live until flush() has returned or the producer is gone.
  virtual void produce(const OutgoingRecord& record, Delivery* delivery) = 0;

  // Waits until the brokers have everything. Throws ProducerError for the first record that they do not.
  virtual void flush() = 0;

  // After flush(). Returned: it is committed, and nothing that asked for it is still under way. Thrown: it may be
  // committed or not.
  virtual void commit() = 0;

  // Whether the transaction committed last had to wait since the brokers were not through with the one before.
  virtual bool begun_too_early() const { return false; }

  // Ends the open transaction without a trace, waiting a moment at most. The producer is of no more use afterwards.
  virtual void abort() noexcept = 0;
};

class ProducerFactory {
 public:
  virtual ~ProducerFactory() = default;
  virtual std::unique_ptr<TransactionProducer> make() = 0;
};

}  // namespace anabranch
