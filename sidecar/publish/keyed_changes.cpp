#include "sidecar/publish/keyed_changes.hpp"

#include <algorithm>

#include <fmt/format.h>

#include "sidecar/publish/publisher.hpp"
#include "sidecar/publish/rows.hpp"

namespace anabranch {
namespace {

void make_key(const PublishedTable& table, std::string_view row, std::string& key) {
  key.clear();
  if (!table.key_columns.empty()) table.format->key(row, key);
}

// A key of which the decoder could not send a column. It sends no column at all where a row filter raises on the row:
// any writer can bring that about, and it must not stop the publishing of everything.
const Gap* check_key(const PublishedTable& table, const std::vector<Gap>* gaps, std::string_view row) {
  const Gap* gap = gap_in_key(table, gaps);
  if (gap != nullptr && !row.empty())
    throw PublishStopped("key_unreadable",
                         fmt::format("column {} of table {}, a part of the key, could not be sent: {} ({}); change the "
                                     "row, or take the table out of the publication",
                                     gap->number, table.relation.qualified_name(), gap->reason, gap->sqlstate));
  return gap;
}

RowOperation operation_of(Change::Kind kind) {
  if (kind == Change::Kind::insert) return RowOperation::insert;
  return kind == Change::Kind::remove ? RowOperation::remove : RowOperation::update;
}

PublishedChange as_told(const Change& change) {
  PublishedChange told;
  told.before_kind = change.before_kind;
  told.before = change.before;
  told.after = change.after;
  if (!change.details) return told;
  const ChangeDetails& details = *change.details;
  if (!details.unchanged.empty()) told.unchanged = &details.unchanged;
  if (!details.before_gaps.empty()) told.before_gaps = &details.before_gaps;
  if (!details.after_gaps.empty()) told.after_gaps = &details.after_gaps;
  return told;
}

}  // namespace

const Gap* gap_in_key(const PublishedTable& table, const std::vector<Gap>* gaps) {
  if (gaps == nullptr) return nullptr;
  const auto found = std::find_if(gaps->begin(), gaps->end(), [&](const Gap& gap) {
    return std::binary_search(table.key_columns.begin(), table.key_columns.end(), gap.number);
  });
  return found == gaps->end() ? nullptr : &*found;
}

std::span<const KeyedChange> KeyedChanges::one(const PublishedChange& told, RowOperation operation,
                                               std::string_view key) {
  records_[0] = {told, key, nullptr};
  records_[0].change.operation = operation;
  return {records_.data(), 1};
}

std::span<const KeyedChange> KeyedChanges::of(const Change& change, const PublishedTable& table) {
  const PublishedChange told = as_told(change);
  const Gap* keyless = check_key(table, told.before_gaps, change.before);
  if (keyless == nullptr) keyless = check_key(table, told.after_gaps, change.after);
  if (keyless != nullptr) {
    one(told, operation_of(change.kind), {});
    records_[0].keyless = keyless;
    return {records_.data(), 1};
  }
  const bool has_before = change.before_kind != BeforeKind::none;
  if (change.kind == Change::Kind::insert) {
    make_key(table, change.after, key_);
    return one(told, RowOperation::insert, key_);
  }
  if (change.kind == Change::Kind::remove) {
    if (!has_before)
      throw PublishStopped("keyless", fmt::format("a row was deleted from table {} without saying which: set a replica "
                                                  "identity, or take the table out of the publication",
                                                  table.relation.qualified_name()));
    make_key(table, change.before, key_);
    return one(told, RowOperation::remove, key_);
  }
  // Columns of the key may be kept out of line and unchanged: then they are in the old row alone.
  const bool fill = told.unchanged != nullptr && has_before;
  if (fill) filled_ = fill_columns(change.after, change.before, *told.unchanged, unknown_);
  make_key(table, fill ? std::string_view(filled_) : change.after, key_);
  if (!has_before) return one(told, RowOperation::update, key_);
  make_key(table, change.before, former_key_);
  if (key_ == former_key_) return one(told, RowOperation::update, key_);

  PublishedChange& gone = records_[0].change;
  gone = told;
  gone.operation = RowOperation::remove;
  gone.after = {};
  gone.unchanged = nullptr;
  gone.after_gaps = nullptr;
  records_[0].key = former_key_;
  records_[0].keyless = records_[1].keyless = nullptr;

  PublishedChange& come = records_[1].change;
  come = told;
  come.operation = RowOperation::insert;
  come.before_kind = BeforeKind::none;
  come.before = {};
  come.before_gaps = nullptr;
  if (fill) {
    // What is in neither is NULL where the old row was full.
    come.after = filled_;
    come.unchanged = change.before_kind == BeforeKind::full || unknown_.empty() ? nullptr : &unknown_;
  }
  records_[1].key = key_;
  return records_;
}

}  // namespace anabranch
