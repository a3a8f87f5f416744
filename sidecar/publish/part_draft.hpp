// What is known of a part before it is written: Part and Span of topic.proto.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "sidecar/log/crc32c.hpp"
#include "sidecar/pg/lsn.hpp"
#include "sidecar/publish/producer.hpp"
#include "sidecar/publish/tables.hpp"

namespace anabranch {

// The records of one part in one partition: Span of topic.proto.
struct SpanDraft {
  OpenTopic* topic = nullptr;
  int32_t partition = 0;
  Delivery delivery;
  int64_t first_offset = -1;  // expected, or delivered; -1: neither yet
  uint64_t count = 0;
  Crc32c crc;
  std::vector<uint64_t> relations;
};

// A Part to be written: of a source transaction, of rows that exist, or a position up to which there is nothing of
// ours.
struct PartDraft {
  Lsn end_lsn, previous_end_lsn, commit_lsn;
  uint64_t xid = 0;
  int64_t commit_time = 0;
  std::string origin;
  bool begin = false, end = false, gap = false, content = false;
  uint32_t part = 0;
  uint64_t records = 0, first_number = 0;
  std::vector<SpanDraft*> spans;
  std::vector<uint64_t> unselected;

  bool is_position() const { return part == 0 && !content; }
};

// Value of the record in the transaction topic. The offsets of its spans must be there.
std::string write_part(const PartDraft& draft);

}  // namespace anabranch
