#include "sidecar/log/dead_letter.hpp"

#include <fmt/format.h>

namespace anabranch {

DeadLetter dead_letter_of(const ChangeDetails& message, Lsn unit_end) {
  const size_t colon = message.prefix.find(':');
  Relation stream;
  stream.schema = stream_schema;
  stream.name = message.prefix.substr(0, colon);
  DeadLetter letter;
  letter.lsn = unit_end;
  letter.number = message.rejected;
  letter.stream = stream.qualified_name();
  if (colon != std::string_view::npos) letter.key = message.prefix.substr(colon + 1);
  letter.reason = fmt::format("{} ({})", message.reason, message.sqlstate);
  letter.content = message.content;
  letter.bytes = message.omitted_bytes > 0 ? message.omitted_bytes : message.content.size();
  return letter;
}

std::vector<DeadLetter> dead_letters_of(const TransactionPiece& piece) {
  std::vector<DeadLetter> letters;
  if (!piece.has_rejected) return letters;
  for (const Change& change : piece.changes)
    if (change.details && change.details->rejected > 0)
      letters.push_back(dead_letter_of(*change.details, piece.unit_end));
  return letters;
}

}  // namespace anabranch
