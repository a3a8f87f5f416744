#include "sidecar/publish/oversize.hpp"

#include <algorithm>
#include <optional>

#include <fmt/format.h>

#include "sidecar/publish/publisher.hpp"
#include "sidecar/publish/rows.hpp"

namespace anabranch {
namespace {

std::optional<RowField> largest_value(const PublishedTable& table, std::string_view row) {
  for (const RowField& field : fields_by_size(row))
    if (!std::binary_search(table.key_columns.begin(), table.key_columns.end(), field.number)) return field;
  return std::nullopt;
}

}  // namespace

std::string oversize_reason(const char* what, size_t bytes, size_t record_bytes_max) {
  return fmt::format("a {} of {} bytes is larger than the {} bytes that a record may have (oversize = \"park\")", what,
                     bytes, record_bytes_max);
}

FittedChange::FittedChange(PublishedTable& table, const PublishedUnit& unit, const PublishedChange& change,
                           std::string_view key, size_t record_bytes_max, std::string& value)
    : change_(change), before_(change.before), after_(change.after) {
  if (change.before_gaps != nullptr) before_gaps_ = *change.before_gaps;
  if (change.after_gaps != nullptr) after_gaps_ = *change.after_gaps;
  change_.before_gaps = &before_gaps_;
  change_.after_gaps = &after_gaps_;
  while (record_bytes(key.size(), value.size()) > record_bytes_max) {
    const auto of_before = largest_value(table, before_), of_after = largest_value(table, after_);
    const bool in_before = of_before && (!of_after || of_before->bytes > of_after->bytes);
    const auto& field = in_before ? of_before : of_after;
    if (!field)
      throw PublishStopped("too_large",
                           fmt::format("the key of a row of table {} takes {} bytes, a record may have {}: raise "
                                       "message.max.bytes in [kafka.properties] and on the brokers",
                                       table.relation.qualified_name(), key.size(), record_bytes_max));
    std::string& row = in_before ? before_ : after_;
    row = without_columns(row, {field->number});
    const std::string reason = oversize_reason("value", field->bytes, record_bytes_max);
    (in_before ? before_gaps_ : after_gaps_).push_back({field->number, "", reason});
    omitted_.push_back({field->number, field->bytes, reason});
    change_.before = before_;
    change_.after = after_;
    value.clear();
    table.format->value(unit, change_, value);
  }
}

}  // namespace anabranch
