// The log that is a replication slot.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "sidecar/log/change_log.hpp"
#include "sidecar/pg/connection.hpp"
#include "sidecar/pg/replication_stream.hpp"

namespace anabranch {

struct SlotLogOptions {
  ConnectOptions connect;
  std::string slot;
  std::string publication;                // its bare name; quoted as the plugin expects it here
  std::vector<std::string> skip_origins;  // names of replication origins whose changes are not wanted
  bool messages = true;
  std::string system_identifier;       // if not empty: start() refuses another one (LogError other_system)
  size_t queue_bytes_max = 32 << 20;   // read ahead of the applier; the reader then waits, and answers keepalives
  size_t value_bytes_max = 256 << 20;  // a larger wanted value becomes a Gap
  std::chrono::milliseconds status_interval{1'000};
};

// A thread of its own reads the stream, checks count and CRC of each transaction before handing out its last piece, and
// answers the server while the applier is busy. Reconnecting is the caller's decision: after PgError, start() again.
class SlotLog final : public ChangeLog {
 public:
  explicit SlotLog(SlotLogOptions options);
  ~SlotLog() override;

  void start(Lsn from) override;
  std::optional<TransactionPiece> next(std::chrono::milliseconds wait) override;
  Lsn read_position() const override;
  void acknowledge(Lsn flushed) override;
  void want(WantedColumns columns) override;
  void stop() noexcept override;

  // Of the server, after start().
  const SystemIdentity& identity() const;
  // What the reader holds in the queue now, in bytes.
  size_t queued_bytes() const;
  // End of the last transaction received whole, ahead of what next() has handed out.
  Lsn received() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace anabranch
