#include "sidecar/publish/progress.hpp"

#include <stdexcept>

#include <fmt/format.h>

#include "sidecar/topic/topic.pb.h"

namespace anabranch {
namespace {

[[noreturn]] void refuse(const std::string& what) {
  throw std::invalid_argument(what);
}

}  // namespace

std::string write_progress(const Progress& progress) {
  topic::v1::Progress record;
  record.set_format(topic_format);
  record.set_lsn(progress.lsn.value());
  record.set_part_end_lsn(progress.part_end_lsn.value());
  record.set_parts(progress.parts);
  record.set_records(progress.records);
  record.set_crc(progress.crc);
  if (progress.transaction_offset >= 0)
    record.set_transaction_offset(static_cast<uint64_t>(progress.transaction_offset));
  record.set_cluster_id(progress.cluster_id);
  record.set_run_id(progress.run_id);
  record.set_system_identifier(progress.system_identifier);
  record.set_timeline(progress.timeline);
  record.set_slot(progress.slot);
  record.set_instance(progress.instance);
  record.set_version(progress.version);
  record.set_adopted_from(progress.adopted_from);
  record.set_last_number(progress.last_number);
  record.set_witness(progress.witness);
  return record.SerializeAsString();
}

Progress read_progress(std::string_view bytes) {
  topic::v1::Progress record;
  if (!record.ParseFromArray(bytes.data(), static_cast<int>(bytes.size()))) refuse("the bytes are no Progress");
  if (record.format() != topic_format)
    refuse(fmt::format("the Progress is of format {}, this version reads {}: install a newer one", record.format(),
                       topic_format));
  if (record.lsn() == 0) refuse("the Progress has no position");
  Progress progress;
  progress.lsn = Lsn(record.lsn());
  progress.part_end_lsn = Lsn(record.part_end_lsn());
  progress.parts = record.parts();
  progress.records = record.records();
  progress.crc = record.crc();
  progress.transaction_offset = static_cast<int64_t>(record.transaction_offset());
  progress.cluster_id = record.cluster_id();
  progress.run_id = record.run_id();
  progress.system_identifier = record.system_identifier();
  progress.timeline = record.timeline();
  progress.slot = record.slot();
  progress.instance = record.instance();
  progress.version = record.version();
  progress.adopted_from = record.adopted_from();
  progress.last_number = record.last_number();
  progress.witness = record.witness();
  if (progress.within_transaction() && (progress.parts == 0 || progress.part_end_lsn <= progress.lsn))
    refuse("the Progress stands in a transaction of no parts");
  return progress;
}

std::string write_topic_position(const TopicPosition& position) {
  topic::v1::TopicPosition record;
  record.set_topic(position.topic);
  for (const int64_t offset : position.next_offsets) record.add_next_offsets(static_cast<uint64_t>(offset));
  const TopicNumbering& numbering = position.numbering;
  record.set_relation_oid(numbering.relation_oid);
  record.set_system_identifier(numbering.system_identifier);
  record.set_highest_number(numbering.highest_number);
  for (const TopicNumbering::Column& column : numbering.columns) {
    topic::v1::NumberedColumn& written = *record.add_columns();
    written.set_number(column.number);
    written.set_name(column.name);
    written.set_type(column.type);
  }
  return record.SerializeAsString();
}

TopicPosition read_topic_position(std::string_view bytes) {
  topic::v1::TopicPosition record;
  if (!record.ParseFromArray(bytes.data(), static_cast<int>(bytes.size())) || record.topic().empty())
    refuse("the bytes are no TopicPosition");
  TopicPosition position;
  position.topic = record.topic();
  for (const uint64_t offset : record.next_offsets()) position.next_offsets.push_back(static_cast<int64_t>(offset));
  position.numbering.relation_oid = record.relation_oid();
  position.numbering.system_identifier = record.system_identifier();
  position.numbering.highest_number = record.highest_number();
  for (const auto& column : record.columns())
    position.numbering.columns.push_back({column.number(), column.name(), column.type()});
  return position;
}

}  // namespace anabranch
