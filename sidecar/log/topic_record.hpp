// What stands in the topics of a published source (sidecar/topic/topic.proto), as views: the reader's side.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "sidecar/log/change_log.hpp"
#include "sidecar/log/record.hpp"
#include "sidecar/topic/row_operation.hpp"

namespace anabranch {

// The headers of a data record, as text; empty where the record has none of that name.
struct RecordHeaders {
  std::string_view lsn, number, xid, op, generation, relation, fragment;
};

// One committed record of a partition.
struct TopicRecord {
  int64_t offset = 0;
  std::string_view key, value;
  bool has_value = true;  // false: a tombstone
  RecordHeaders headers;
};

// Where the records of one part lie in one partition.
struct SpanRecord {
  std::string topic;
  int32_t partition = 0;
  int64_t first_offset = 0, last_offset = 0;  // of its first and its last record
  uint64_t count = 0;
  uint32_t crc = 0;                 // CRC-32C over the values, in the order of offsets
  std::vector<uint64_t> relations;  // fingerprints; empty in a topic of messages
};

// A record of the transaction topic: a transaction, a part of one, or a position.
struct PartRecord {
  Lsn end_lsn;           // of the whole transaction
  Lsn previous_end_lsn;  // of the unit before it; invalid in the topic's very first record
  Lsn commit_lsn;
  uint64_t xid = 0;
  int64_t commit_time = 0;
  std::string origin;
  bool begin = false, end = false;
  uint32_t part = 0;          // from 1
  uint64_t records = 0;       // of this part, each copy of a truncate not counted again
  uint64_t first_number = 0;  // number of its first record within the transaction
  std::vector<SpanRecord> spans;
  std::vector<uint64_t> unselected;
  bool gap = false;  // in a position: what lies before it, after previous_end_lsn, is not in the topics; end_lsn may
                     // be the earlier one then
  bool content = false;  // rows that existed, between two units: both positions are the end of the one before
  int64_t offset = 0;    // where it stands
  // Of a gap, set by who reads it: where the parts lie of a transaction that was given up in the middle.
  std::vector<SpanRecord> given_up;

  // Nothing of ours up to end_lsn.
  bool is_position() const { return part == 0 && !begin && !end && !content && spans.empty(); }
};

// The value of a data record.
struct TopicRow {
  RowOperation operation{};  // always one of them after read_topic_row()
  BeforeKind before_kind = BeforeKind::none;
  std::string_view before, after;
  std::vector<uint32_t> unchanged;
  std::vector<OmittedColumn> omitted_before, omitted_after;
  uint32_t leaf = 0;
  bool cascade = false, restart_identity = false;
  bool has_details = false;  // unchanged or omitted_... are not empty
};

// All throw LogError(damaged) on bytes that no publisher writes, LogError(unsupported) on a number of an enumeration
// that this version does not know. The caller adds the place.
PartRecord read_part(const TopicRecord& record);
// Reuses `row`'s vectors.
void read_topic_row(std::string_view value, TopicRow& row);
// Of the header `fragment`, "2/5": one slice of a value.
struct FragmentPlace {
  uint32_t slice = 1, slices = 1;
};
FragmentPlace read_fragment_header(std::string_view text);
// Of the headers `number`, and `relation` (16 hexadecimal digits).
uint64_t read_number_header(std::string_view text);
uint64_t read_fingerprint_header(std::string_view text);
// Of a key in the relation topic: 8 bytes, big-endian.
uint64_t read_fingerprint_key(std::string_view key);

}  // namespace anabranch
