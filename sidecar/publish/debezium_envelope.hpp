// What the formats with Debezium's envelope have in common, whatever they write it in: readers of the one and of the
// other must come to the same.
#pragma once

#include <cstdint>
#include <limits>
#include <string>
#include <string_view>

#include "sidecar/pg/epoch.hpp"
#include "sidecar/publish/format.hpp"
#include "sidecar/publish/json_text.hpp"

namespace anabranch::debezium {

// The fields ts_ms.
inline int64_t milliseconds_since_1970(int64_t commit_time) {
  return (commit_time + micros_to_postgres_epoch) / 1'000;
}

// A date; the infinite ones stay the least and the greatest number.
inline int64_t days_since_1970(int32_t days) {
  const bool is_infinite = days == std::numeric_limits<int32_t>::max() || days == std::numeric_limits<int32_t>::min();
  return is_infinite ? days : days + days_to_postgres_epoch;
}

// The old row of an update is shown only where it is whole: readers take back what they find there.
inline bool shows_before(const PublishedChange& change) {
  return change.before_kind == BeforeKind::full ||
         (change.operation == RowOperation::remove && change.before_kind == BeforeKind::key);
}

inline bool shows_after(const PublishedChange& change) {
  return change.operation != RowOperation::remove && change.operation != RowOperation::truncate;
}

inline std::string_view snapshot_text(const PublishedChange& change) {
  return change.operation == RowOperation::read ? "true" : "false";
}

// `sequence` sorts changes as they happened: the transaction's end and the number within it. Debezium's has two
// positions there, which its readers compare as we do. It is JSON in a string: `quote` is how a quote stands in that.
inline void append_sequence(std::string& out, const PublishedUnit& unit, const PublishedChange& change,
                            std::string_view quote) {
  out += '[';
  out += quote;
  append_number(out, unit.end_lsn.value());
  out += quote;
  out += ',';
  out += quote;
  append_number(out, change.number);
  out += quote;
  out += ']';
}

// The member id of `transaction`, where the unit is one.
inline void append_transaction_id(std::string& out, const PublishedUnit& unit) {
  append_number(out, unit.xid);
  out += ':';
  append_number(out, unit.end_lsn.value());
}

}  // namespace anabranch::debezium
