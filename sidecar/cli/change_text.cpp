#include "sidecar/cli/change_text.hpp"

#include <algorithm>
#include <vector>

#include <fmt/format.h>

#include "sidecar/cli/names.hpp"
#include "sidecar/publish/json_text.hpp"
#include "sidecar/publish/json_value.hpp"
#include "sidecar/publish/row_fields.hpp"

namespace anabranch {
namespace {

std::string_view verb_of(Change::Kind kind) {
  switch (kind) {
    case Change::Kind::insert:
      return "insert";
    case Change::Kind::update:
      return "update";
    case Change::Kind::remove:
      return "delete";
    case Change::Kind::truncate:
      return "truncate";
    case Change::Kind::message:
      return "message";
    case Change::Kind::unselected:
      return "unpublished";
  }
  return "?";
}

std::string describe_message(const ChangeDetails& details) {
  const std::string content = is_utf8(details.content)
                                  ? std::string(details.content)
                                  : fmt::format("{} bytes that are no text", details.content.size());
  return fmt::format("{} {}{}", details.prefix, content, details.transactional ? "" : " (not transactional)");
}

}  // namespace

struct ChangeText::Table {
  explicit Table(const Relation& of) : relation(of), fields(relation) {
    for (const Column& column : relation.columns) writers.emplace_back(column, TimeMode::iso);
  }

  bool names(const std::vector<Gap>& gaps, uint32_t number) const {
    return std::any_of(gaps.begin(), gaps.end(), [&](const Gap& gap) { return gap.number == number; });
  }

  // The columns that `row` can have. Those that are neither in it nor NULL are added to `missing`.
  std::string row(std::string_view row, bool key_only, const std::vector<uint32_t>& unchanged,
                  const std::vector<Gap>& gaps, std::vector<std::string>& missing) {
    fields.read(row);
    std::string out;
    for (size_t i = 0; i < relation.columns.size(); ++i) {
      const Column& column = relation.columns[i];
      if (key_only && !column.in_identity) continue;
      const bool is_unchanged = std::find(unchanged.begin(), unchanged.end(), column.number) != unchanged.end();
      if (is_unchanged || names(gaps, column.number)) {
        missing.push_back(column.name + (is_unchanged ? " (unchanged)" : " (not sent)"));
        continue;
      }
      out += out.empty() ? "{" : ",";
      append_json_string(out, column.name);
      out += ':';
      if (const wire::Field* field = fields.at(i))
        writers[i].write(out, *field);
      else
        out += "null";
    }
    return out.empty() ? "{}" : out + "}";
  }

  const Relation relation;
  RowFields fields;
  std::vector<JsonValueWriter> writers;
};

ChangeText::ChangeText() = default;
ChangeText::~ChangeText() = default;

ChangeText::Table& ChangeText::table(const Relation& relation) {
  auto& known = tables_[relation.description];
  if (known == nullptr) known = std::make_unique<Table>(relation);
  return *known;
}

std::string ChangeText::line(const Change& change) {
  static const ChangeDetails none;
  const ChangeDetails& details = change.details ? *change.details : none;
  std::string text(verb_of(change.kind));
  text += ' ';
  switch (change.kind) {
    case Change::Kind::message:
      text += describe_message(details);
      break;
    case Change::Kind::truncate: {
      std::string names;
      for (const Truncated& truncated : details.truncated)
        names += (names.empty() ? "" : ", ") + truncated.relation->qualified_name() +
                 (truncated.leaf == 0 ? "" : fmt::format(" (partition {})", truncated.leaf));
      text += names;
      break;
    }
    case Change::Kind::unselected:
      text += change.relation->qualified_name();
      break;
    default: {
      Table& of = table(*change.relation);
      text += change.relation->qualified_name();
      std::vector<std::string> missing;
      if (change.kind != Change::Kind::remove)
        text += ' ' + of.row(change.after, false, details.unchanged, details.after_gaps, missing);
      if (change.before_kind != BeforeKind::none) {
        text += change.kind == Change::Kind::update ? " was " : " ";
        text += of.row(change.before, change.before_kind == BeforeKind::key, {}, details.before_gaps, missing);
      }
      if (!missing.empty()) text += fmt::format(", without {}", fmt::join(missing, ", "));
    }
  }
  return printable(text);
}

}  // namespace anabranch
