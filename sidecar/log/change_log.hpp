// The log of changes, whatever carries it: transactions in commit order, in pieces, as views into the bytes received.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "decoder/format.hpp"
#include "sidecar/pg/lsn.hpp"

namespace anabranch {

struct Column {
  uint32_t number = 0;
  std::string name;
  uint32_t type_oid = 0;
  std::string type_schema;
  std::string type_name;
  int32_t type_modifier = -1;
  Encoding encoding = Encoding::text;
  bool in_identity = false;
  bool in_primary_key = false;
};

// A relation as the log described it last before a change. Immutable; a new description is a new object. The columns
// stand in ascending order of their numbers.
struct Relation {
  uint32_t oid = 0;
  uint32_t generation = 0;
  std::string schema;
  std::string name;
  ReplicaIdentity replica_identity = ReplicaIdentity::by_default;
  std::vector<Column> columns;
  std::string description;  // the bytes of the Relation message that said all this

  // nullptr when there is none.
  const Column* column(uint32_t number) const;
  // schema.name, quoted where SQL needs it: for messages.
  std::string qualified_name() const;
};

// The schema of tables whose rows are logical messages (import_stream): only ever inserted, and held by nobody.
inline constexpr std::string_view stream_schema = "anabranch_stream";

// A column whose value is neither in the row nor NULL: it could not be sent, or is larger than anyone wanted to keep.
struct Gap {
  uint32_t number = 0;
  std::string sqlstate;  // empty when the server had sent the value and the reader did not keep it
  std::string reason;
};

struct Truncated {
  const anabranch::Relation* relation = nullptr;
  uint32_t leaf = 0;  // oid of the partition when only that was truncated, otherwise 0
};

// What few changes have.
struct ChangeDetails {
  std::vector<uint32_t> unchanged;  // update: columns not sent because they did not change (never NULL)
  std::vector<Gap> before_gaps;
  std::vector<Gap> after_gaps;
  std::vector<Truncated> truncated;  // truncate
  bool cascade = false;
  bool restart_identity = false;
  bool transactional = false;  // message. Any role can write one: never take it for an order
  std::string_view prefix, content;
  uint64_t omitted_bytes = 0;  // message: size of a content that was too large to be sent; `content` is then empty
  uint64_t prefix_bytes = 0;   // message: size of a prefix that was too long to be sent; `prefix` is its beginning then
  // Message: why its content is no row of the stream that its prefix names (a dead letter), and which of these it is
  // within the transaction, from 1; 0: it is none.
  std::string_view sqlstate, reason;
  uint64_t rejected = 0;
};

// One change. `before` and `after` are rows: protobuf messages whose field numbers are Column::number, as the decoder
// wrote them, with large values put together again. Everything in it lives as long as the TransactionPiece it came in.
struct Change {
  enum class Kind : uint8_t { insert, update, remove, truncate, message, unselected };
  Kind kind = Kind::insert;
  BeforeKind before_kind = BeforeKind::none;
  const anabranch::Relation* relation = nullptr;  // of insert, update, remove, unselected; otherwise nullptr
  std::string_view before, after;
  std::unique_ptr<ChangeDetails> details;  // nullptr when there is nothing in it
};

// A part of one transaction, or all of it. The pieces of a transaction come directly after each other. A
// non-transactional message is a unit of its own: one piece, xid 0, first and last.
struct TransactionPiece {
  uint64_t xid = 0;         // top-level, 64 bits, as pg_current_xact_id() shows it
  int64_t commit_time = 0;  // microseconds since 2000-01-01 UTC
  Lsn commit_lsn;           // start of the commit record, known from the first piece on. A transaction ends at or
                            // before a position P exactly when its commit record starts before P
  std::string origin;       // name of the replication origin; empty: written there
  Lsn unit_end;             // where the transaction will end, known from the first piece on
  bool first = false;
  bool content = false;        // no transaction but rows that existed, which are no changes: only an audit sees them
  std::optional<Lsn> end_lsn;  // set on the last piece: the position of the whole transaction
  uint64_t first_number = 0;   // number within the transaction of the first of `changes`
  bool has_rejected = false;   // there are messages among the changes that are dead letters
  int64_t log_offset = -1;     // where it stands in a log that has such places (KafkaLog); -1: none
  std::vector<Change> changes;
  size_t bytes = 0;                                  // memory that the piece keeps, roughly
  std::vector<std::shared_ptr<const void>> storage;  // what the views and the relations point into

  bool last() const { return end_lsn.has_value(); }
};

// Columns whose values somebody needs, by relation: larger values than one record holds are put together for these
// only. An entry for relation 0 wants every column of every relation.
using WantedColumns = std::unordered_map<uint32_t, std::vector<uint32_t>>;

// The log cannot be read on, and why. what() names the position and the remedy. Connection failures are PgError
// instead.
class LogError : public std::runtime_error {
 public:
  enum class Kind {
    gap,           // the server has already let go of what comes after the position asked for
    slot_missing,  // no such slot, or not a logical one of our decoder in this database
    slot_lost,     // the server invalidated the slot (max_slot_wal_keep_size)
    other_system,  // the system identifier is not the one expected
    damaged,       // bytes that cannot be what the decoder wrote: nothing of the transaction may be kept
    unsupported    // a record kind or a format that this version does not know
  };
  LogError(Kind kind, const std::string& message) : std::runtime_error(message), kind_(kind) {}
  Kind kind() const { return kind_; }

 private:
  Kind kind_;
};

// Implementations: SlotLog and KafkaLog. One thread calls start, next and stop; acknowledge, want and read_position may
// be called from any.
class ChangeLog {
 public:
  virtual ~ChangeLog() = default;

  // Begins (again, after a failure) with the first transaction that ends after `from`. `from` is a recorded position P;
  // the slot's C must not be past it: LogError(gap). Nothing is acknowledged by it, `from` neither. What was queued
  // before is dropped. Throws PgError, KafkaError or LogError.
  virtual void start(Lsn from) = 0;

  // The next piece, in order; waits for it up to `wait`; nullopt when none came. A failure of the reader is thrown
  // after all that came before it has been handed out: PgError (make a new start() from the recorded position),
  // KafkaError (what brokers refuse) or LogError.
  virtual std::optional<TransactionPiece> next(std::chrono::milliseconds wait) = 0;

  // A position up to which the log holds nothing beyond what next() has handed out. It moves with next() (also when
  // that returns nullopt), and stands still between the pieces of a transaction. Record it as P before acknowledging
  // it.
  virtual Lsn read_position() const = 0;

  // Everything up to `flushed` is recorded and flushed wherever it must be: the log may let go of it. Never falls. It
  // is sent with the next status message, at the latest after the status interval.
  virtual void acknowledge(Lsn flushed) = 0;

  // Which columns' large values to put together, from the next piece read on. Name a copy's columns as soon as the copy
  // is seen, in whatever state: what was read before is not read again.
  virtual void want(WantedColumns columns) = 0;

  // Ends the session with the server, sending what has been acknowledged. start() begins again. Never throws. Call it,
  // too, when the session that records P is lost: a server that shuts down waits until its log readers have confirmed
  // or gone.
  virtual void stop() noexcept = 0;
};

}  // namespace anabranch
