#include "sidecar/publish/part_draft.hpp"

#include "sidecar/topic/topic.pb.h"

namespace anabranch {

std::string write_part(const PartDraft& draft) {
  topic::v1::Part part;
  part.set_end_lsn(draft.end_lsn.value());
  part.set_previous_end_lsn(draft.previous_end_lsn.value());
  part.set_commit_lsn(draft.commit_lsn.value());
  part.set_xid(draft.xid);
  part.set_commit_time(draft.commit_time);
  part.set_origin(draft.origin);
  part.set_begin(draft.begin);
  part.set_end(draft.end);
  part.set_part(draft.part);
  part.set_records(draft.records);
  part.set_first_number(draft.first_number);
  for (const SpanDraft* span : draft.spans) {
    topic::v1::Span& written = *part.add_spans();
    written.set_topic(span->topic->name);
    written.set_partition(static_cast<uint32_t>(span->partition));
    written.set_first_offset(static_cast<uint64_t>(span->first_offset));
    written.set_last_offset(static_cast<uint64_t>(span->first_offset) + span->count - 1);
    written.set_count(span->count);
    written.set_crc(span->crc.value());
    for (const uint64_t relation : span->relations) written.add_relations(relation);
  }
  for (const uint64_t fingerprint : draft.unselected) part.add_unselected(fingerprint);
  part.set_format(topic_format);
  part.set_gap(draft.gap);
  part.set_content(draft.content);
  return part.SerializeAsString();
}

}  // namespace anabranch
