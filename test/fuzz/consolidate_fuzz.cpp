// Whatever records a transaction holds, with a right checksum: consolidation nets them or throws LogError, what it
// writes is a Delta, and a piece may be dropped as soon as it has been added.
//
// The input is a list of records, each a length byte and the Record's bytes. Begin, a relation and Commit are put round
// them.
#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <string>

#include "decoder/record.pb.h"
#include "decoder/wire.hpp"
#include "extension/delta.pb.h"
#include "sidecar/apply/consolidate.hpp"
#include "sidecar/log/crc32c.hpp"
#include "sidecar/log/transaction.hpp"

namespace anabranch {
namespace {

void append_record(std::string& frame, std::string_view record) {
  std::string field(wire::bytes_field_size(1, record.size()), '\0');
  wire::Writer(field.data()).bytes_field(1, record.data(), record.size());
  frame += field;
}

// A transaction round the records of the input.
std::string frame_of(std::string_view input) {
  v1::Record begin, relation, commit;
  begin.mutable_begin()->set_format(1);
  begin.mutable_begin()->set_xid(5);
  begin.mutable_begin()->set_commit_lsn(100);
  relation.mutable_relation()->set_oid(1);
  relation.mutable_relation()->set_schema("public");
  relation.mutable_relation()->set_name("t");
  for (uint32_t number = 1; number <= 3; ++number) {
    v1::Column& column = *relation.mutable_relation()->add_columns();
    column.set_number(number);
    column.set_name("c");
    column.set_in_identity(number == 1);
  }
  std::string frame;
  Crc32c crc;
  uint64_t changes = 0;
  const auto add = [&](const std::string& record) {
    append_record(frame, record);
    crc.add(record);
  };
  add(begin.SerializeAsString());
  add(relation.SerializeAsString());
  while (!input.empty()) {
    const size_t size = std::min<size_t>(static_cast<uint8_t>(input[0]) + 1u, input.size());
    const std::string record(input.substr(1, size - 1));
    input.remove_prefix(size);
    add(record);
    // As FrameReader sees it: the number of the one field that the record holds.
    const uint8_t kind = record.empty() ? 0 : static_cast<uint8_t>(record[0]) >> 3;
    changes += kind >= 3 && kind <= 7;
  }
  commit.mutable_commit()->set_end_lsn(120);
  commit.mutable_commit()->set_changes(changes);
  commit.mutable_commit()->set_crc(crc.value());
  append_record(frame, commit.SerializeAsString());
  return frame;
}

CopyPlan plan_of(uint32_t copy, bool rows_class, bool with_xid, CopySource source) {
  CopyPlan plan;
  plan.copy = copy;
  plan.rows_class = rows_class;
  plan.with_xid = with_xid;
  plan.sources.push_back(std::move(source));
  return plan;
}

void consolidate(std::string_view input) {
  TransactionReader reader(Lsn(), 1 << 12);
  std::vector<TransactionPiece> pieces;
  const auto frame = std::make_shared<std::string>(frame_of(input));
  reader.read(*frame, frame, {{1, {1, 2, 3}}}, pieces);

  Consolidator consolidator(ConsolidateOptions{.delta_bytes_max = 100});
  consolidator.plan(
      {plan_of(900, false, false, {1, 1, {2, 3}, {}, true}), plan_of(901, true, false, {1, 1, {1, 2}, {1}, false}),
       plan_of(902, false, true, {1, 1, {1}, {1}, false}), plan_of(903, false, false, {1, 1, {}, {}, false})});
  for (const TransactionPiece& piece : pieces) consolidator.add(piece);
  pieces.clear();
  for (const CopyDelta& copy : consolidator.take().copies) {
    if (copy.problem.has_value() != copy.deltas.empty()) std::abort();
    uint64_t rows = 0;
    for (const std::string& bytes : copy.deltas) {
      v1::Delta delta;
      if (!delta.ParseFromString(bytes)) std::abort();
      rows += static_cast<uint64_t>(delta.rows_size());
      for (const v1::Row& row : delta.rows())
        if (row.weight() == 0 || row.source() != 1) std::abort();
    }
    if (rows != copy.rows) std::abort();
  }
}

}  // namespace
}  // namespace anabranch

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  try {
    anabranch::consolidate({reinterpret_cast<const char*>(data), size});
  } catch (const anabranch::LogError&) {
  }
  return 0;
}
