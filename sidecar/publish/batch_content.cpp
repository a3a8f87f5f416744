// Rows that exist, between two units of a batch.
#include "sidecar/publish/batch.hpp"

namespace anabranch {
namespace {

// Tells the relations of chunks from those of pieces, which count up from 1. Each is another object.
constexpr uint64_t content_serial = uint64_t{1} << 63;

}  // namespace

PublishedTable& Batch::content_table(const Relation& relation) {
  return tables_.find(relation, content_serial + ++content_rows_);
}

void Batch::begin_content(int64_t read_time) {
  unit_ = Unit{};
  Unit& unit = *unit_;
  unit.told.commit_time = read_time;
  unit.told.commit_lsn = unit.told.end_lsn = position_;
  unit.lsn_text = position_.to_string();
  unit.xid_text = std::to_string(unit.told.xid);
  unit.content = true;
  // Further rows at the position go on with its numbers: (lsn, number) is given once.
  unit.number = last_number_;
}

void Batch::take_content(PublishedTable& table, const PublishedChange& change, std::string_view key) {
  take_row(table, {change, key});
}

void Batch::end_content() {
  if (writer_.in_part()) end_part(false);
  last_number_ = unit_->number;
  unit_.reset();
}

void Batch::write_content(const std::string& key, const std::optional<std::string>& value) {
  writer_.open();
  OutgoingRecord record;
  record.topic = progress_topic_.handle;
  record.key = key;
  if (value) record.value = *value;
  writer_.send_beside(record);
}

}  // namespace anabranch
