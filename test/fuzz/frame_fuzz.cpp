// Whatever bytes a slot sends: the reader makes pieces of them or throws LogError, within bounds.
//
// The first byte says how the rest is read: as frames of one session, each after a byte with its length, or as the body
// of each kind of record, which the checksum would otherwise keep out of reach.
#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <string>

#include "sidecar/log/transaction.hpp"

namespace anabranch {
namespace {

constexpr size_t value_bytes_max = 1 << 12;

void read_frames(std::string_view input) {
  TransactionReader reader(Lsn(input.size()), value_bytes_max);
  const WantedColumns wanted{{1, {1, 2, 3}}};
  while (!input.empty()) {
    const size_t size = std::min<size_t>(static_cast<uint8_t>(input[0]) + 1u, input.size());
    const auto frame = std::make_shared<std::string>(input.substr(1, size - 1));
    input.remove_prefix(size);
    std::vector<TransactionPiece> pieces;
    reader.read(*frame, frame, wanted, pieces);
    for (const TransactionPiece& piece : pieces)
      if (piece.changes.size() > frame->size()) std::abort();  // an empty record takes at least two bytes
  }
}

void read_bodies(std::string_view body, uint8_t kind) {
  RowRecord row;
  switch (static_cast<RecordKind>(kind % 10 + 1)) {
    case RecordKind::begin:
      read_begin(body);
      break;
    case RecordKind::relation:
      read_relation(body).qualified_name();
      break;
    case RecordKind::insert:
      read_row(RecordKind::insert, body, row);
      break;
    case RecordKind::update:
      read_row(RecordKind::update, body, row);
      break;
    case RecordKind::remove:
      read_row(RecordKind::remove, body, row);
      break;
    case RecordKind::truncate:
      read_truncate(body);
      break;
    case RecordKind::message:
      read_message(body);
      break;
    case RecordKind::unselected:
      read_unselected(body);
      break;
    case RecordKind::commit:
      read_commit(body);
      break;
    case RecordKind::fragment:
      read_fragment(body);
      break;
  }
}

}  // namespace
}  // namespace anabranch

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  const std::string_view input(reinterpret_cast<const char*>(data) + 1, size - 1);
  try {
    if (data[0] < 128)
      anabranch::read_frames(input);
    else
      anabranch::read_bodies(input, data[0]);
  } catch (const anabranch::LogError&) {
  }
  return 0;
}
