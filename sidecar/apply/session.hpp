// A session with the home database: the extension's functions for the sidecar (sql/install/), typed.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "sidecar/apply/consolidate.hpp"
#include "sidecar/apply/set_aside.hpp"
#include "sidecar/log/dead_letter.hpp"
#include "sidecar/pg/connection.hpp"
#include "sidecar/pg/lsn.hpp"
#include "sidecar/pg/snapshot.hpp"

namespace anabranch {

// work_mem of the sessions that apply: so many groups of a batch are folded in memory.
inline constexpr const char* apply_work_mem = "64MB";

// A copy as anabranch.copies_to_apply() shows it.
struct CopyRow {
  uint32_t oid = 0;
  std::string name;       // qualified and quoted
  int64_t id = 0;         // definition.id
  std::string state;      // progress.state; "unbound" when there is no progress
  std::string requested;  // run, pause
  std::optional<Lsn> lsn;
  std::optional<std::string> fill_slot;
  bool rows_class = false;
  std::vector<CopySource> sources;
  std::optional<std::string> problem;  // why its owner may not read a source any more
  double fill_duty = 1;                // share of the time in which its sources may be read

  CopyPlan plan(Lsn position, bool with_xid = false) const;
};

// What the server's WAL looked like just now. The snapshot is younger than all that it shows (rule V).
struct WalStatus {
  Snapshot snapshot;
  Lsn flushed;
  Lsn inserted;
};

// Who applies, and with which fencing token.
struct SourceToken {
  std::string source;
  int64_t token = 0;
};

struct StartedSidecar {
  int64_t token = 0;
  Lsn lsn;                            // P of the live copies
  std::optional<int64_t> log_offset;  // where its record stands in the transaction topic, if it was read there
};

struct FilledChunk {
  int64_t rows = 0;
  bool done = false;  // every source has been read to its end
};

// The end of a batch, as source.* records it.
struct BatchEnd {
  Lsn lsn;
  int64_t commit_time = 0;  // microseconds since 2000-01-01 UTC; 0: none (idle)
  uint64_t transactions = 0;
  uint64_t rows = 0;
  int64_t log_offset = -1;  // TransactionPiece::log_offset; -1: none
};

// Functions named send_... put their statement into the connection's pipeline; the others wait for the answer. All
// throw PgError. Not for two threads at a time.
class Session {
 public:
  // Connects. Throws PgError.
  explicit Session(const ConnectOptions& options);

  // Prepares the statements below; to be called first. Throws PgError.
  void prepare();

  // Takes the replication origin, so that the decoder can leave out what this session writes. Throws PgError; SQLSTATE
  // 55006 while another session still has it.
  void take_origin(const std::string& origin);

  Connection& connection() { return connection_; }

  StartedSidecar start_sidecar(std::string_view source, std::string_view slot, std::string_view publication,
                               bool kafka);
  std::vector<CopyRow> copies();
  // Of the cluster that the source's positions belong to; after start_sidecar().
  std::string system_identifier(std::string_view source);
  void heartbeat(const SourceToken& token);
  WalStatus wal_status();

  void begin();
  void commit();
  // Ends a transaction if one is open, also one that has failed.
  void rollback();
  // For the transaction that is open only.
  void set_lock_timeout(std::chrono::milliseconds timeout);

  void begin_batch(const SourceToken& token);
  // The position that the copy has recorded. Locks its progress until the end of the transaction.
  std::optional<Lsn> begin_copy_batch(uint32_t copy, const SourceToken& token);
  void apply(uint32_t copy, bool filling, std::string_view delta);
  void set_copy_position(uint32_t copy, Lsn lsn);
  void set_aside(const SetAside& aside);
  // In no transaction: those that are waited for may wait for what it holds.
  void wait_for_writers(uint32_t relation);
  void fill_start(uint32_t copy, std::string_view slot, Lsn lsn);
  FilledChunk fill_chunk(uint32_t copy, std::size_t rows_max);
  void show(uint32_t copy, Lsn lsn);

  void send_begin();
  void send_commit();
  void send_begin_batch(const SourceToken& token);
  void send_begin_copy_batch(uint32_t copy, const SourceToken& token);
  // `delta` must live until the call returns.
  void send_apply(uint32_t copy, bool filling, std::string_view delta);
  // For the copy's next send_apply() in the same transaction. The same holds for `delta`.
  void send_gather(uint32_t copy, bool filling, std::string_view delta);
  void send_end_batch(const SourceToken& token, const BatchEnd& end);
  void send_set_copy_position(uint32_t copy, Lsn lsn);
  void send_set_aside(const SetAside& aside);
  // Within a batch: again, of the same source, does nothing.
  void send_dead_letter(std::string_view source, const DeadLetter& letter);
  void send_wal_status();

  static WalStatus read_wal_status(const Result& result);
  static std::optional<Lsn> read_copy_batch(const Result& result);

 private:
  Connection connection_;
};

}  // namespace anabranch
