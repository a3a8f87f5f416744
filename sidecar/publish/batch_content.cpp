// Rows that exist, between two units of a batch.
#include "sidecar/publish/batch.hpp"

#include <fmt/format.h>

namespace anabranch {
namespace {

// Tells the relations of chunks from those of pieces, which count up from 1. Each is another object.
constexpr uint64_t content_serial = uint64_t{1} << 63;
// What read_content says of a value.
constexpr std::string_view too_large_to_read = "54000";

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
  take_row(table, {change, key, nullptr});
  if (change.after_gaps == nullptr) return;
  // Values that were too large to be read for a record; those too large for it are parked like any.
  for (const Gap& gap : *change.after_gaps) {
    if (gap.sqlstate != too_large_to_read) continue;
    const Column* column = table.relation.column(gap.number);
    parked_.push_back({unit_->told.end_lsn, unit_->number, table.topic->name, table.relation.qualified_name(),
                       column != nullptr ? column->name : std::to_string(gap.number), gap.reason, std::string(key), 0,
                       std::nullopt});
  }
}

void Batch::skip_content(PublishedTable& table, uint64_t rows, const Gap& gap) {
  writer_.open();
  parked_.push_back({unit_->told.end_lsn, unit_->number + 1, table.topic->name, table.relation.qualified_name(), "key",
                     fmt::format("{} rows that exist: {} ({})", rows, gap.reason, gap.sqlstate), "", 0, std::nullopt});
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
