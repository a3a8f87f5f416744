// The log that is a source's topics in Kafka.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "sidecar/kafka/properties.hpp"
#include "sidecar/log/change_log.hpp"
#include "sidecar/pg/server_history.hpp"
#include "sidecar/stop.hpp"

namespace anabranch {

struct KafkaLogOptions {
  KafkaProperties properties;  // the user's
  std::string prefix;
  std::string source = "home";
  // What the server says of its history, beside a timeline that the topics are of; if given, topics that hold what it
  // never had are refused, too.
  std::function<ServerHistory(uint32_t timeline, const Stop& stop)> history;
  std::string system_identifier;     // if not empty: topics of another server are refused (LogError other_system)
  std::optional<int64_t> offset;     // where the position that start() gets stands in the transaction topic, if known
  size_t queue_bytes_max = 8 << 20;  // put together ahead of the applier; more the client has received already
};

// A thread of its own reads the topics (topic_transactions.hpp says how) and puts transactions together. Only relations
// that somebody wants are read: name them before start(). Nothing is acknowledged to anybody: the publisher tells the
// server what it may forget, and Kafka forgets by its own retention. Brokers that are away are waited for.
//
// next() throws LogError and, for what the brokers refuse, KafkaError.
class KafkaLog final : public ChangeLog {
 public:
  explicit KafkaLog(KafkaLogOptions options);
  ~KafkaLog() override;

  // Throws KafkaError and KafkaPropertyError. That the topics do not hold what comes after `from` is told by next().
  void start(Lsn from) override;
  std::optional<TransactionPiece> next(std::chrono::milliseconds wait) override;
  Lsn read_position() const override;
  void acknowledge(Lsn flushed) override;
  void want(WantedColumns columns) override;
  void stop() noexcept override;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace anabranch
