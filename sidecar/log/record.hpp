// Bytes to typed records: reads the frames of decoder/record.proto without copying what is in them.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "decoder/format.hpp"
#include "sidecar/log/change_log.hpp"

namespace anabranch {

struct BeginRecord {
  uint32_t format = 0;
  uint64_t xid = 0;
  int64_t commit_time = 0;
  Lsn commit_lsn;
  std::string_view origin;
  Lsn end_lsn;  // invalid: an older decoder does not say
};

struct CommitRecord {
  Lsn end_lsn;
  uint64_t changes = 0;
  uint32_t crc = 0;
};

struct OmittedColumn {
  uint32_t number = 0;
  std::string_view sqlstate, reason;
};

struct GapsRecord {
  std::vector<uint32_t> fragmented;
  std::vector<OmittedColumn> omitted;
};

// Insert, Update and Delete.
struct RowRecord {
  uint32_t relation = 0;
  BeforeKind before_kind = BeforeKind::none;
  std::string_view before, after;
  std::vector<uint32_t> unchanged;
  GapsRecord before_gaps, after_gaps;
  bool has_details = false;  // unchanged or gaps are not empty
};

struct TruncateRecord {
  struct Entry {
    uint32_t relation = 0, leaf = 0;
  };
  std::vector<Entry> relations;
  bool cascade = false, restart_identity = false;
};

struct MessageRecord {
  bool transactional = false;
  std::string_view prefix, content;
  Lsn lsn;
  uint64_t omitted_bytes = 0;         // size of a content too large to be sent
  uint64_t prefix_bytes = 0;          // size of a prefix too long to be sent: `prefix` is its beginning
  std::string_view sqlstate, reason;  // why the content is no row of the stream that the prefix names
};

struct FragmentRecord {
  bool before = false;
  uint32_t number = 0;
  uint64_t offset = 0, total = 0;
  std::string_view data;
  uint32_t relation = 0;  // 0: not said
};

// One record of a frame. `payload` is the Record message's bytes, what the CRC runs over.
struct RecordView {
  RecordKind kind = RecordKind::begin;
  std::string_view payload;
  std::string_view body;  // the message inside it
};

// Walks the records of one frame; the views point into `frame`. All functions here throw LogError(damaged) on bytes
// that no decoder writes and LogError(unsupported) on a record kind or a format they do not know; both name the number.
// The caller adds the position.
class FrameReader {
 public:
  explicit FrameReader(std::string_view frame) : rest_(frame) {}
  // nullopt at the end of the frame.
  std::optional<RecordView> next();

 private:
  std::string_view rest_;
};

BeginRecord read_begin(std::string_view body);
CommitRecord read_commit(std::string_view body);
Relation read_relation(std::string_view body);
// Reuses `row`'s vectors: a record without unchanged columns and gaps allocates nothing.
void read_row(RecordKind kind, std::string_view body, RowRecord& row);
TruncateRecord read_truncate(std::string_view body);
MessageRecord read_message(std::string_view body);
uint32_t read_unselected(std::string_view body);
FragmentRecord read_fragment(std::string_view body);

}  // namespace anabranch
