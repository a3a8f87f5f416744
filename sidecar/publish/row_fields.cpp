#include "sidecar/publish/row_fields.hpp"

#include <fmt/format.h>

#include "decoder/wire_type.hpp"
#include "sidecar/publish/format.hpp"

namespace anabranch {

RowFields::RowFields(const Relation& relation)
    : relation_(relation), fields_(relation.columns.size()), rows_(relation.columns.size()) {
  for (size_t i = 0; i < relation.columns.size(); ++i) {
    const auto number = relation.columns[i].number;
    if (column_of_.size() <= number) column_of_.resize(number + 1);
    column_of_[number] = static_cast<uint32_t>(i + 1);
  }
}

void RowFields::read(std::string_view row) {
  ++row_;
  wire::Reader reader(row);
  wire::Field field;
  while (reader.next(field)) {
    const auto place = field.number < column_of_.size() ? column_of_[field.number] : 0;
    if (place == 0 || field.type != wire_type(relation_.columns[place - 1].encoding))
      throw FormatError(fmt::format("a row of {} has a field {} that does not fit its description: the log is damaged",
                                    relation_.qualified_name(), field.number));
    fields_[place - 1] = field;
    rows_[place - 1] = row_;
  }
  if (reader.damaged())
    throw FormatError(fmt::format("a row of {} is damaged: the log is damaged", relation_.qualified_name()));
}

}  // namespace anabranch
