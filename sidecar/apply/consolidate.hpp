// Transactions in, the net change of each copy out, as bytes of extension/delta.proto. Pure: no I/O, no clock.
//
// Method:
//   1. Each row of a change is projected to the columns that the copy references: its image (the decoder's row bytes,
//   fields
//      in ascending order). An update is minus its old image, plus its new one; when both are the same it is nothing.
//   2. Image mode (class linear; rows without a key): images are netted by signed weights in a hash map over an arena.
//      Key mode (class rows with a key): the last state of each key wins, row or gone.
//   3. take() writes what is left as Deltas, in the order of first appearance.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "sidecar/log/change_log.hpp"

namespace anabranch {

// One source relation of a copy: a row of anabranch.definition_source.
struct CopySource {
  uint32_t ordinal = 0;
  uint32_t relation = 0;          // oid as the log names it (the publishing root)
  std::vector<uint32_t> columns;  // attribute numbers, ascending: what an image holds
  std::vector<uint32_t> key;      // attribute numbers of the row key; empty: the row image itself
  bool full_old_rows = false;     // definition_source.old_rows = 'full'
  std::vector<uint32_t> named{};  // those of `columns` that the query itself names
};

// A copy as consolidation needs to know it.
struct CopyPlan {
  uint32_t copy = 0;        // oid
  bool rows_class = false;  // definition.class = 'rows' (otherwise 'linear')
  bool with_xid = false;    // for apply_filling: rows carry their transaction, and only changes of one
                            // transaction are netted with each other (in image mode)
  Lsn position;             // transactions that end at or before it are not the copy's any more
  std::vector<CopySource> sources;
};

// Why a copy cannot follow a change. `reason` is for progress.reason: it names the relation, the column and the remedy.
struct CopyProblem {
  std::string state;     // 'stale'
  std::string sqlstate;  // AN003 unidentifiable change or value not sent, AN004 definition no longer fits
  std::string reason;
};

// What apply() of one copy gets for a batch: either deltas, in order, or a problem.
struct CopyDelta {
  uint32_t copy = 0;
  std::vector<std::string> deltas;  // each at most delta_bytes_max, or one row; empty: nothing to apply
  uint64_t rows = 0;                // in all of them
  std::optional<CopyProblem> problem;
};

// An insert into anabranch.ddl: something happened to a relation, in order with its rows. Columns that are NULL are
// empty.
struct DdlEvent {
  uint64_t xid = 0;
  Lsn commit_lsn;
  uint32_t relation = 0;
  std::string tag, identity, reason;
  std::vector<uint32_t> stale;  // copies that are stale from here on: take() reports them as problems, too
};

// What one batch comes to.
struct Consolidated {
  std::vector<CopyDelta> copies;  // only those with something to apply or a problem; in the order of the plans
  std::vector<DdlEvent> ddl;      // in order
  uint64_t changes = 0;           // inserts, updates, deletes and truncates added, for whichever copy
};

struct ConsolidateOptions {
  size_t delta_bytes_max = 8 << 20;
};

// Collects pieces of transactions until take(). Not for two threads at a time. Once a copy has a problem its further
// changes are ignored until plan() is called again.
class Consolidator {
 public:
  explicit Consolidator(ConsolidateOptions options = {});
  ~Consolidator();
  Consolidator(Consolidator&&) noexcept;
  Consolidator& operator=(Consolidator&&) noexcept;

  // Which copies to consolidate for, from the next piece on. Only when empty: after take(), between transactions.
  void plan(std::vector<CopyPlan> plans);

  // Adds all changes of a piece. The piece's bytes are copied as far as needed: it may be dropped afterwards. Throws
  // LogError(damaged) for a row that is no row.
  void add(const TransactionPiece& piece);

  // Memory held, in bytes; what take() makes of it comes on top and is not larger.
  size_t bytes() const;
  // Entries held: an upper bound of the rows that take() returns.
  uint64_t rows() const;
  bool empty() const;
  // Consolidated::changes of the next take().
  uint64_t changes() const;

  // The net changes since the last take(). Between two pieces of one transaction is fine: the deltas then are to be
  // applied in one SQL transaction, one after the other.
  Consolidated take();

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace anabranch
