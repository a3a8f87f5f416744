// What is done with a row that is larger than a record may be, where values are parked (oversize = "park").
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "sidecar/publish/format.hpp"
#include "sidecar/publish/tables.hpp"

namespace anabranch {

// What a record takes of record_bytes_max: its key and value, and headers with what Kafka writes round a record.
constexpr size_t record_overhead_bytes = 256;
constexpr size_t record_bytes(size_t key_bytes, size_t value_bytes) {
  return key_bytes + value_bytes + record_overhead_bytes;
}

// Why a value is left out of its record, for the gap it leaves and for anabranch.dead_letters.
std::string oversize_reason(const char* what, size_t bytes, size_t record_bytes_max);

// A column that was left out.
struct ParkedColumn {
  uint32_t number = 0;
  size_t bytes = 0;
  std::string reason;
};

// A change without its largest values, which have become gaps.
class FittedChange {
 public:
  // Leaves out columns of `change`, the largest first, out of whichever row it stands in, and never one of the key,
  // until the record is within `record_bytes_max`. `value`, the record's value when it was not, is written again.
  // Throws PublishStopped where the key alone is too large, FormatError.
  FittedChange(PublishedTable& table, const PublishedUnit& unit, const PublishedChange& change, std::string_view key,
               size_t record_bytes_max, std::string& value);
  FittedChange(const FittedChange&) = delete;
  FittedChange& operator=(const FittedChange&) = delete;

  // Points into this object.
  const PublishedChange& change() const { return change_; }
  const std::vector<ParkedColumn>& omitted() const { return omitted_; }

 private:
  PublishedChange change_;
  std::string before_, after_;
  std::vector<Gap> before_gaps_, after_gaps_;
  std::vector<ParkedColumn> omitted_;
};

}  // namespace anabranch
