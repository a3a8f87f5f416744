#include "sidecar/apply/ddl_event.hpp"

#include <charconv>

#include <fmt/format.h>

#include "sidecar/apply/projection.hpp"

namespace anabranch {
namespace {

[[noreturn]] void throw_unsupported(std::string_view column) {
  throw LogError(
      LogError::Kind::unsupported,
      fmt::format("column \"{}\" of anabranch.ddl is not of the form that this version knows; install the same "
                  "version of the extension and of this program",
                  column));
}

// nullopt: NULL, or no such column.
std::optional<wire::Field> value_of(const Change& change, std::string_view name) {
  for (const Column& column : change.relation->columns)
    if (column.name == name) return find_field(change.after, column.number);
  return std::nullopt;
}

std::string text_of(const Change& change, std::string_view name) {
  const auto field = value_of(change, name);
  if (!field) return {};
  if (field->type != wire::Type::bytes) throw_unsupported(name);
  return std::string(field->bytes);
}

// An array of oids as its text, "{1,2}".
std::vector<uint32_t> oids_of(const Change& change, std::string_view name) {
  const std::string text = text_of(change, name);
  std::vector<uint32_t> oids;
  if (text.empty() || text == "{}") return oids;
  const char* at = text.data();
  const char* const end = at + text.size();
  if (*at != '{' || end[-1] != '}') throw_unsupported(name);
  while (at + 1 < end) {
    const auto [next, error] = std::from_chars(at + 1, end, oids.emplace_back());
    if (error != std::errc() || (*next != ',' && next + 1 != end)) throw_unsupported(name);
    at = next;
  }
  return oids;
}

}  // namespace

bool is_ddl_relation(const Relation& relation) {
  return relation.name == "ddl" && relation.schema == "anabranch";
}

DdlEvent read_ddl_event(const Change& change) {
  DdlEvent event;
  if (const auto relation = value_of(change, "relation")) {
    if (relation->type != wire::Type::varint) throw_unsupported("relation");
    event.relation = static_cast<uint32_t>(relation->value);
  }
  event.tag = text_of(change, "tag");
  event.identity = text_of(change, "identity");
  event.reason = text_of(change, "reason");
  event.stale = oids_of(change, "stale");
  return event;
}

}  // namespace anabranch
