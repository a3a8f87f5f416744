#include "sidecar/apply/delta.hpp"

#include <algorithm>
#include <limits>

#include "decoder/wire.hpp"
#include "extension/delta_format.hpp"

namespace anabranch {
namespace {

// Of the Row message, without its tag and length.
size_t row_size(const DeltaRow& row) {
  size_t size = wire::varint_field_size(fields::row::source, row.source) +
                wire::varint_field_size(fields::row::weight, wire::zigzag(row.weight)) +
                wire::bytes_field_size(fields::row::row, row.row.size());
  if (row.xid != 0) size += wire::varint_field_size(fields::row::xid, row.xid);
  return size;
}

}  // namespace

DeltaWriter::DeltaWriter(bool truncate, size_t bytes_max) : bytes_max_(bytes_max) {
  if (!truncate) return;
  const size_t size = wire::varint_field_size(fields::delta::truncate, 1);
  wire::Writer(room(size)).varint_field(fields::delta::truncate, 1);
  used_ += size;
}

// Where the next `size` bytes go.
char* DeltaWriter::room(size_t size) {
  if (used_ > 0 && used_ + size > bytes_max_) end_delta();
  if (used_ + size > delta_.size()) delta_.resize(std::max({2 * delta_.size(), used_ + size, size_t{1024}}));
  return delta_.data() + used_;
}

void DeltaWriter::end_delta() {
  delta_.resize(used_);
  deltas_.push_back(std::move(delta_));
  delta_ = {};
  used_ = 0;
}

void DeltaWriter::add(const DeltaRow& given) {
  // The field is of 32 bits; so many rows of one image come in several entries.
  constexpr int64_t weight_max = std::numeric_limits<int32_t>::max();
  DeltaRow row = given;
  for (int64_t left = given.weight; left != 0; left -= row.weight) {
    row.weight = std::clamp(left, -weight_max, weight_max);
    const size_t inner = row_size(row);
    const size_t size = wire::bytes_field_size(fields::delta::rows, inner);
    wire::Writer writer(room(size));
    writer.begin_bytes(fields::delta::rows, inner);
    writer.varint_field(fields::row::source, row.source);
    writer.signed_field(fields::row::weight, row.weight);
    writer.bytes_field(fields::row::row, row.row.data(), row.row.size());
    if (row.xid != 0) writer.varint_field(fields::row::xid, row.xid);
    used_ += size;
    ++rows_;
  }
}

std::vector<std::string> DeltaWriter::finish() {
  if (used_ > 0) end_delta();
  return std::move(deltas_);
}

}  // namespace anabranch
