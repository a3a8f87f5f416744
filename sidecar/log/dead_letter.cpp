#include "sidecar/log/dead_letter.hpp"

#include <algorithm>

#include <fmt/format.h>

namespace anabranch {
namespace {

// Any role can send a message with any key.
constexpr size_t key_bytes_max = 8 << 10;

std::string_view beginning_of(std::string_view key) {
  if (key.size() <= key_bytes_max) return key;
  size_t end = key_bytes_max;
  while (end > 0 && (static_cast<unsigned char>(key[end]) & 0xC0) == 0x80) --end;  // within a character
  return key.substr(0, end);
}

}  // namespace

DeadLetter dead_letter_of(const ChangeDetails& message, Lsn unit_end) {
  const size_t colon = message.prefix.find(':');
  Relation stream;
  stream.schema = stream_schema;
  stream.name = message.prefix.substr(0, colon);
  DeadLetter letter;
  letter.lsn = unit_end;
  letter.number = message.rejected;
  letter.stream = stream.qualified_name();
  letter.reason = fmt::format("{} ({})", message.reason, message.sqlstate);
  if (colon != std::string_view::npos) {
    const std::string_view key = message.prefix.substr(colon + 1);
    letter.key = beginning_of(key);
    if (letter.key.size() < key.size() || message.prefix_bytes > 0)
      letter.reason += fmt::format("; of a key of {} bytes the beginning is kept",
                                   std::max<uint64_t>(message.prefix_bytes, message.prefix.size()) - colon - 1);
  }
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
