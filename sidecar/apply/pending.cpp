#include "sidecar/apply/pending.hpp"

#include <utility>

namespace anabranch {

void Pending::push(TransactionPiece piece) {
  rows_ += piece.changes.size();
  bytes_ += piece.bytes;
  ends_ += piece.last() ? 1 : 0;
  pieces_.push_back(std::move(piece));
}

TransactionPiece Pending::pop() {
  TransactionPiece piece = std::move(pieces_.front());
  pieces_.pop_front();
  rows_ -= piece.changes.size();
  bytes_ -= piece.bytes;
  ends_ -= piece.last() ? 1 : 0;
  return piece;
}

Pending::Cut Pending::cut(const Snapshot& snapshot, std::size_t rows_max, bool take_open) const {
  Cut cut;
  std::size_t rows = 0;  // of the transaction being looked at, too
  for (std::size_t i = 0; i < pieces_.size(); ++i) {
    const TransactionPiece& piece = pieces_[i];
    if (piece.first) {
      if (cut.transactions > 0 && rows >= rows_max) return cut;
      if (!snapshot.visible(piece.xid)) {
        cut.hidden_xid = piece.xid;
        return cut;
      }
    }
    rows += piece.changes.size();
    if (piece.last()) {
      ++cut.transactions;
      cut.pieces = i + 1;
      cut.rows = rows;
    }
  }
  if (cut.transactions == 0 && take_open && !pieces_.empty()) {
    cut.pieces = pieces_.size();
    cut.rows = rows;
    cut.open = true;
  }
  return cut;
}

void Pending::clear() {
  pieces_.clear();
  rows_ = bytes_ = ends_ = 0;
}

}  // namespace anabranch
