// Messages that name a stream and are no row of it.
#pragma once

#include <string>
#include <vector>

#include "sidecar/log/change_log.hpp"

namespace anabranch {

// A row of anabranch.dead_letter. (lsn, number) is the same whoever reads the log, and whenever.
struct DeadLetter {
  Lsn lsn;              // where the transaction ends
  uint64_t number = 0;  // which of the transaction's dead letters it is, from 1
  std::string stream;   // qualified and quoted
  std::string key;      // what the prefix has behind a colon; of a long one the beginning, which the reason says
  std::string reason;   // with the SQLSTATE
  std::string content;
  uint64_t bytes = 0;  // of the content, also where it was too large to be sent
};

// Of a message with ChangeDetails::rejected.
DeadLetter dead_letter_of(const ChangeDetails& message, Lsn unit_end);

// Of all in a piece.
std::vector<DeadLetter> dead_letters_of(const TransactionPiece& piece);

}  // namespace anabranch
