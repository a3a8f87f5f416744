// Batches: from the log into one SQL transaction each. The main applier and the workers of copies both go on this way.
//
// Method:
//   1. gather() reads whole transactions until a batch is due: BatchSizer says when.
//   2. step() cuts it by rule V: only transactions that a snapshot of the server shows, from the front, whole ones.
//   3. The pieces are consolidated into one net change per copy, and go to the server in one round trip: BEGIN, the
//      scope's opening (fencing), apply() per copy, the scope's closing (positions), COMMIT, and the next snapshot.
//   4. A transaction larger than a round goes in several rounds within one open SQL transaction; its pieces are dropped
//      as they are sent, so memory stays bounded. The server gathers the rounds and merges them once, at the end.
//   5. While there is a backlog (more at hand than a batch takes, or much WAL still to be read) the batch grows by more
//      transactions that are visible, in rounds, too: what a group costs to merge is paid once for many rows. It ends
//      when nothing more comes, when it has taken long beside what merging takes, or at a bound.
//   6. If apply() of a copy fails nothing of the batch has happened. The caller decides about that copy, exclude()s it,
//      and calls step() again: the others get the same batch, once.
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <optional>
#include <vector>

#include "sidecar/apply/batch_size.hpp"
#include "sidecar/apply/consolidate.hpp"
#include "sidecar/apply/pending.hpp"
#include "sidecar/apply/session.hpp"
#include "sidecar/log/change_log.hpp"
#include "sidecar/stop.hpp"

namespace anabranch {

// What opens and closes a batch's transaction: whose position moves, and who may move it.
class BatchScope {
 public:
  virtual ~BatchScope() = default;
  // BEGIN and the check that we may still write; may leave statements in the pipeline. Throws PgError.
  virtual void open(Session& session) = 0;
  // Sends what records the position.
  virtual void send_close(Session& session, const BatchEnd& end) = 0;
};

// apply() of one copy failed. The transaction has been rolled back.
struct CopyFailure {
  uint32_t copy = 0;
  PgError error;
};

struct BatchOptions {
  BatchSizer::Limits size;
  std::size_t pending_bytes_max = 24 << 20;  // read from the log and not applied yet
  std::size_t round_bytes_max = 16 << 20;    // net changes sent in one round
  // Rows that the server gathers before it merges them, in one copy: they go to its temporary files.
  std::size_t gathered_rows_max = 3'000'000;
  std::size_t gathered_bytes_max = 256 << 20;
  // Of a batch that grows: changes taken, and time until the merge begins.
  std::size_t grown_rows_max = 1'500'000;
  std::chrono::milliseconds grown_time_max{4'000};
  std::string source;          // whose dead letters are noted
  const Stop* stop = nullptr;  // ends the growth; may be nullptr
};

class Batches {
 public:
  enum class Outcome {
    nothing,  // there was nothing whole to apply
    hidden,   // the next transaction is committed but not visible yet: try again shortly
    applied,
    failed  // failure() says which copy's statement; decide, exclude() it and step() again
  };

  // All must outlive the object.
  Batches(Session& session, ChangeLog& log, BatchScope& scope, const BatchOptions& options);

  // Reads ahead until a batch is due, for at most `wait`. Whether one is due. Throws what the log throws.
  bool gather(std::chrono::milliseconds wait);

  // Applies one batch for `plans`; a repetition after a failure uses the plans of the first time. Throws PgError when
  // something other than a copy's own statement failed; then nothing has been applied, unless the connection was lost.
  Outcome step(const std::vector<CopyPlan>& plans);

  // Records a position up to which the log held nothing, in a transaction of its own. Only when pending().empty().
  void record(Lsn position);

  // After `failed`:
  const CopyFailure& failure() const { return *failure_; }
  // The pieces of the batch that failed; empty when they are gone, because the batch was streamed in rounds. The log
  // then has to be started again at the recorded position.
  const std::vector<TransactionPiece>& pieces() const { return batch_.pieces; }
  bool repeatable() const { return batch_.repeatable; }
  // Whether more transactions are in it than a batch that can be repeated would have had.
  bool grown() const { return batch_.grown; }
  // Leaves the copy out of the repetition; `aside` is recorded within it.
  void exclude(uint32_t copy, std::optional<SetAside> aside);

  // After `applied`: the end of the batch, and the copies that were set aside in it.
  const BatchEnd& end() const { return batch_.end; }
  const std::vector<SetAside>& set_aside() const { return batch_.asides; }
  const std::vector<DdlEvent>& ddl() const { return batch_.ddl; }
  // Of the last batch or refresh(): flushed and inserted positions.
  const WalStatus& wal() const { return wal_; }
  void refresh_wal() { wal_ = session_.wal_status(); }

  const Pending& pending() const { return pending_; }
  uint64_t hidden_xid() const { return hidden_xid_; }
  BatchSizer& sizer() { return sizer_; }
  const BatchSizer& sizer() const { return sizer_; }
  // Drops everything read ahead, for a new start of the log. Up to `small_until` batches do not grow: one that fails
  // there can be repeated, and what failed in it be found.
  void reset(Lsn small_until);

 private:
  using Clock = std::chrono::steady_clock;

  struct Batch {
    std::vector<TransactionPiece> pieces;
    std::vector<CopyDelta> work;  // of this round
    std::vector<DdlEvent> ddl;
    std::vector<SetAside> asides;
    std::vector<DeadLetter> letters;
    std::size_t letter_bytes = 0;
    BatchEnd end;
    bool repeatable = true;
    bool grown = false;
  };

  // What the server has gathered of a copy in the batch under way.
  struct Gathered {
    std::size_t rows = 0, bytes = 0;
  };

  bool due(Clock::time_point now) const;
  bool choose(Pending::Cut& cut);
  void consolidate(const Pending::Cut& cut, Clock::time_point started);
  bool may_grow(Clock::time_point started) const;
  bool at_hand(bool inside);
  void add(TransactionPiece piece, bool keep);
  void send_letters();
  void take_work();
  void stream_round();
  void open_transaction();
  void collect_round();
  void send_work(bool last);
  void send_copy(const CopyDelta& copy, bool last);
  void send_apply(uint32_t copy, std::string_view delta);
  std::vector<Result> collect();
  void finish(Clock::time_point started);
  const CopyPlan* plan_of(uint32_t copy) const;

  Session& session_;
  ChangeLog& log_;
  BatchScope& scope_;
  BatchOptions options_;
  BatchSizer sizer_;
  Consolidator consolidator_;
  Pending pending_;
  Batch batch_;
  std::vector<CopyPlan> plans_;  // of the batch under way
  std::vector<uint32_t> sent_;   // copy of each statement in the pipeline; 0: none of a copy
  std::optional<CopyFailure> failure_;
  std::map<uint32_t, Gathered> gathered_;  // by copy
  Clock::duration merge_time_;             // from the last round of a batch to its end, smoothed
  Lsn small_until_;
  WalStatus wal_;
  uint64_t hidden_xid_ = 0;
  bool open_ = false;  // the SQL transaction has begun
  bool full_ = false;
  Clock::time_point last_start_{};
};

}  // namespace anabranch
