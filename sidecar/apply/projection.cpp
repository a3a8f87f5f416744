#include "sidecar/apply/projection.hpp"

#include <algorithm>
#include <cstring>

#include "sidecar/log/change_log.hpp"

namespace anabranch {
namespace {

[[noreturn]] void throw_damaged() {
  throw LogError(LogError::Kind::damaged, "damaged row: its fields do not fit it");
}

}  // namespace

Projection::Projection(const std::vector<uint32_t>& columns) {
  if (columns.empty()) return;
  wanted_.resize(*std::max_element(columns.begin(), columns.end()) + 1);
  for (const uint32_t number : columns) wanted_[number] = 1;
}

size_t Projection::project(std::string_view row, char* out) const {
  // Neighbouring fields that are wanted go over in one copy.
  wire::Reader reader(row);
  wire::Field field;
  char* to = out;
  size_t at = 0, run = 0;  // the fields in [run, at) are wanted and not yet copied
  uint32_t before = 0;
  while (reader.next(field)) {
    const size_t end = row.size() - reader.left();
    if (field.number <= before) {  // a leaf partition's columns may stand in another order than the root's
      std::vector<Part> parts;
      collect(row, parts);
      return write_sorted(parts, out);
    }
    before = field.number;
    if (!contains(field.number)) {
      std::memcpy(to, row.data() + run, at - run);
      to += at - run;
      run = end;
    }
    at = end;
  }
  if (reader.damaged()) throw_damaged();
  if (at > run) std::memcpy(to, row.data() + run, at - run);
  return static_cast<size_t>(to - out) + (at - run);
}

std::optional<size_t> Projection::merge(std::string_view row, std::string_view before,
                                        const std::vector<uint32_t>& unchanged, char* out, uint32_t& missing) const {
  std::vector<Part> parts, old_parts;
  collect(row, parts);
  collect(before, old_parts);
  for (const uint32_t number : unchanged) {
    if (!contains(number)) continue;
    const auto old =
        std::find_if(old_parts.begin(), old_parts.end(), [&](const Part& part) { return part.number == number; });
    if (old == old_parts.end()) {
      missing = number;
      return std::nullopt;
    }
    parts.push_back(*old);
  }
  return write_sorted(parts, out);
}

void Projection::collect(std::string_view row, std::vector<Part>& parts) const {
  wire::Reader reader(row);
  wire::Field field;
  size_t at = 0;
  while (reader.next(field)) {
    const size_t end = row.size() - reader.left();
    if (contains(field.number)) parts.push_back({field.number, row.substr(at, end - at)});
    at = end;
  }
  if (reader.damaged()) throw_damaged();
}

size_t Projection::write_sorted(std::vector<Part>& parts, char* out) {
  std::sort(parts.begin(), parts.end(), [](const Part& a, const Part& b) { return a.number < b.number; });
  char* to = out;
  uint32_t before = 0;
  for (const Part& part : parts) {
    if (part.number == before) throw_damaged();  // a column twice
    before = part.number;
    std::memcpy(to, part.bytes.data(), part.bytes.size());
    to += part.bytes.size();
  }
  return static_cast<size_t>(to - out);
}

std::optional<wire::Field> find_field(std::string_view row, uint32_t number) {
  wire::Reader reader(row);
  wire::Field field;
  while (reader.next(field))
    if (field.number == number) return field;
  if (reader.damaged()) throw_damaged();
  return std::nullopt;
}

}  // namespace anabranch
