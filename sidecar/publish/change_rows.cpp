#include "sidecar/publish/change_rows.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace anabranch {

ChangeRows::ChangeRows(const Relation& relation)
    : relation_(relation), before_(relation), after_(relation), marks_(relation.columns.size()) {}

void ChangeRows::mark(uint32_t number, Mark mark) {
  const auto found = std::lower_bound(relation_.columns.begin(), relation_.columns.end(), number,
                                      [](const Column& column, uint32_t wanted) { return column.number < wanted; });
  if (found == relation_.columns.end() || found->number != number) return;
  marks_[static_cast<size_t>(found - relation_.columns.begin())] |= mark;
  has_marks_ = true;
}

void ChangeRows::read(const PublishedChange& change) {
  before_.read(change.before);
  after_.read(change.after);
  if (has_marks_) std::fill(marks_.begin(), marks_.end(), uint8_t{0});
  has_marks_ = false;
  if (change.unchanged != nullptr)
    for (const auto number : *change.unchanged) mark(number, unchanged);
  if (change.before_gaps != nullptr)
    for (const auto& gap : *change.before_gaps) mark(gap.number, before_gap);
  if (change.after_gaps != nullptr)
    for (const auto& gap : *change.after_gaps) mark(gap.number, after_gap);
}

ChangeRows::State ChangeRows::before(size_t column, const wire::Field*& field) const {
  field = before_.at(column);
  if (field != nullptr) return State::value;
  return is_marked(column, before_gap) ? State::unavailable : State::null;
}

ChangeRows::State ChangeRows::after(size_t column, const wire::Field*& field) const {
  field = after_.at(column);
  if (field != nullptr) return State::value;
  if (is_marked(column, unchanged)) {
    field = before_.at(column);
    return field != nullptr ? State::value : State::unavailable;
  }
  return is_marked(column, after_gap) ? State::unavailable : State::null;
}

bool ChangeRows::leaves_row(const PublishedChange& change) const {
  if (change.operation == RowOperation::remove) return false;
  if (change.operation == RowOperation::truncate)
    throw FormatError(
        fmt::format("table {} was truncated, and a compacted topic cannot say that without naming every key: set "
                    "latest = false for the table, delete the topic, and publish its rows anew",
                    relation_.qualified_name()));
  for (size_t i = 0; has_marks_ && i < relation_.columns.size(); ++i) {
    const wire::Field* field = nullptr;
    if (after(i, field) != State::unavailable) continue;
    throw FormatError(
        fmt::format("the value of column \"{}\" of table {} is not in the log, so its latest row is not known: {}",
                    relation_.columns[i].name, relation_.qualified_name(),
                    is_marked(i, unchanged)
                        ? "it is kept out of line and did not change; ALTER TABLE ... REPLICA IDENTITY FULL makes "
                          "PostgreSQL log it from then on, or set latest = false for the table"
                        : "it could not be sent; set latest = false for the table"));
  }
  return true;
}

}  // namespace anabranch
