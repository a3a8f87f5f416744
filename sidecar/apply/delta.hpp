// Writes the bytes of extension/delta.proto.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace anabranch {

struct DeltaRow {
  uint32_t source = 0;
  int64_t weight = 0;  // 0: the row is left out
  std::string_view row;
  uint64_t xid = 0;  // 0: not said
};

// Writes the rows of one copy as Deltas of at most `bytes_max` bytes each, or of a single row. Any part of the net
// change of a batch may be applied before the rest: a negative weight takes away what was there before the batch.
class DeltaWriter {
 public:
  DeltaWriter(bool truncate, size_t bytes_max);

  void add(const DeltaRow& row);
  uint64_t rows() const { return rows_; }
  // The Deltas, in order; none when there is nothing to say. Leaves the writer empty.
  std::vector<std::string> finish();

 private:
  char* room(size_t size);
  void end_delta();

  const size_t bytes_max_;
  uint64_t rows_ = 0;
  std::string delta_;  // longer than what is written of it
  size_t used_ = 0;
  std::vector<std::string> deltas_;
};

}  // namespace anabranch
