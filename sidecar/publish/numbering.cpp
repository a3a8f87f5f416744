#include "sidecar/publish/numbering.hpp"

#include <algorithm>

#include <fmt/format.h>

namespace anabranch {
namespace {

std::string type_of(const Column& column) {
  return column.type_schema + "." + column.type_name;
}

}  // namespace

TopicNumbering numbering_of(const Relation& relation, const std::string& system_identifier,
                            const TopicNumbering& before) {
  TopicNumbering numbering;
  numbering.relation_oid = relation.oid;
  numbering.system_identifier = system_identifier;
  numbering.highest_number = before.highest_number;
  for (const Column& column : relation.columns) {
    numbering.columns.push_back({column.number, column.name, type_of(column)});
    numbering.highest_number = std::max(numbering.highest_number, column.number);
  }
  return numbering;
}

std::string renumbered(const Relation& relation, const std::string& system_identifier, const TopicNumbering& before) {
  if (before.relation_oid == 0) return {};
  if (before.relation_oid == relation.oid && before.system_identifier == system_identifier) return {};
  for (const Column& column : relation.columns) {
    if (column.number > before.highest_number) continue;
    const auto same = std::find_if(before.columns.begin(), before.columns.end(),
                                   [&](const TopicNumbering::Column& one) { return one.number == column.number; });
    if (same == before.columns.end())
      return fmt::format("number {} is column \"{}\" now, and was that of a column which had been dropped",
                         column.number, column.name);
    if (same->name != column.name || same->type != type_of(column))
      return fmt::format("number {} is column \"{}\" ({}) now, and was column \"{}\" ({})", column.number, column.name,
                         type_of(column), same->name, same->type);
  }
  return {};
}

}  // namespace anabranch
