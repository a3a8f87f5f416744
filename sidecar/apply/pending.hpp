// What has been read from the log and not been applied yet.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <vector>

#include "sidecar/log/change_log.hpp"
#include "sidecar/pg/snapshot.hpp"

namespace anabranch {

// Pieces in the log's order, and where a batch may end. Not thread safe.
class Pending {
 public:
  // How much of it a batch may take.
  struct Cut {
    std::size_t pieces = 0;        // from the front
    std::size_t transactions = 0;  // whole ones among them
    std::size_t rows = 0;
    // The last of the pieces belongs to a transaction whose end has not been read: the batch goes on with what the log
    // hands out next. Only when that transaction is the first.
    bool open = false;
    // The transaction that ended the cut because the snapshot does not show it; 0: none did.
    uint64_t hidden_xid = 0;
  };

  void push(TransactionPiece piece);
  TransactionPiece pop();

  // Rule V: whole transactions from the front, as long as `snapshot` shows them, until `rows_max` is reached. A
  // transaction whose end is missing is taken only as the first, and only when `take_open`.
  Cut cut(const Snapshot& snapshot, std::size_t rows_max, bool take_open) const;

  bool empty() const { return pieces_.empty(); }
  std::size_t rows() const { return rows_; }
  std::size_t bytes() const { return bytes_; }
  // Whether at least one whole transaction is there.
  bool whole() const { return ends_ > 0; }
  const TransactionPiece& front() const { return pieces_.front(); }
  void clear();

 private:
  std::deque<TransactionPiece> pieces_;
  std::size_t rows_ = 0;
  std::size_t bytes_ = 0;
  std::size_t ends_ = 0;
};

}  // namespace anabranch
