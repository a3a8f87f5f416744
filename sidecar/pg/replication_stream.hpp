// A walsender session: the replication protocol's COPY_BOTH stream and the feedback on it.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "sidecar/pg/connection.hpp"
#include "sidecar/pg/lsn.hpp"

namespace anabranch {

// Answer of IDENTIFY_SYSTEM.
struct SystemIdentity {
  std::string system_identifier;
  uint32_t timeline = 0;
  Lsn flushed;  // end of the WAL flushed on the server
  std::string database;
};

// One message of the stream. `data` lives as long as `storage` does.
struct StreamMessage {
  enum class Kind { data, keepalive };
  Kind kind = Kind::keepalive;
  Lsn start;                     // data: where the server stood when it wrote this
  Lsn end;                       // keepalive: everything that ended at or before it has been sent
  int64_t sent_at = 0;           // the server's clock, microseconds since 2000-01-01 UTC
  bool reply_requested = false;  // keepalive: answer with send_status() at once
  std::string_view data;
  std::shared_ptr<const void> storage;
};

// Opened with replication=database. Not for two threads at a time. Failures are PgError, as in Connection.
class ReplicationStream {
 public:
  explicit ReplicationStream(ConnectOptions options);
  ~ReplicationStream();

  SystemIdentity identify_system();
  // Statements of the simple protocol, before start().
  Result exec(const std::string& sql);

  // START_REPLICATION SLOT slot LOGICAL from (options). Names and values are quoted here; a value is a string literal.
  // The server moves a `from` that is older than the slot's confirmed position forward without a word: compare before.
  void start(const std::string& slot, Lsn from, const std::vector<std::pair<std::string, std::string>>& plugin_options);

  // Waits up to `wait` for one message; nullopt when none came in time, or `wake` (a file descriptor, -1: none) became
  // readable. Throws PgError when the server ended the stream, also when it ended it in order (SQLSTATE 57P01).
  std::optional<StreamMessage> read(std::chrono::milliseconds wait, int wake = -1);

  // Standby status update: received (written) up to `received`, recorded and flushed by us up to `flushed`. Neither
  // ever falls: a lower value than before is sent as the one before.
  void send_status(Lsn received, Lsn flushed, bool reply_requested = false);

  Lsn flushed() const { return flushed_; }

  // Ends the stream in order (CopyDone) and waits at most `wait` for the server's answer. Never throws.
  void finish(std::chrono::milliseconds wait) noexcept;

 private:
  [[noreturn]] void end_of_stream();

  Connection connection_;
  Lsn received_, flushed_;
  bool streaming_ = false;
};

}  // namespace anabranch
