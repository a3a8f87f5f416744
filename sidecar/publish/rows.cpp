#include "sidecar/publish/rows.hpp"

#include <algorithm>

#include "decoder/wire.hpp"

namespace anabranch {
namespace {

bool among(const std::vector<uint32_t>& columns, uint32_t number) {
  return std::find(columns.begin(), columns.end(), number) != columns.end();
}

// Calls body(number, the field's bytes with its tag).
template <typename Body>
void each_field(std::string_view row, Body body) {
  wire::Reader reader(row);
  wire::Field field;
  size_t at = 0;
  while (reader.next(field)) {
    const size_t end = row.size() - reader.left();
    body(field.number, row.substr(at, end - at));
    at = end;
  }
}

}  // namespace

std::string fill_columns(std::string_view row, std::string_view source, const std::vector<uint32_t>& columns,
                         std::vector<uint32_t>& missing) {
  struct Piece {
    uint32_t number;
    std::string_view bytes;
  };
  std::vector<Piece> pieces;
  each_field(row, [&](uint32_t number, std::string_view bytes) { pieces.push_back({number, bytes}); });
  missing.clear();
  std::vector<uint32_t> found;
  for (const Piece& piece : pieces)
    if (among(columns, piece.number)) found.push_back(piece.number);
  each_field(source, [&](uint32_t number, std::string_view bytes) {
    if (!among(columns, number) || among(found, number)) return;
    found.push_back(number);
    pieces.push_back({number, bytes});
  });
  for (const uint32_t number : columns)
    if (!among(found, number)) missing.push_back(number);
  std::stable_sort(pieces.begin(), pieces.end(), [](const Piece& a, const Piece& b) { return a.number < b.number; });
  std::string filled;
  for (const Piece& piece : pieces) filled += piece.bytes;
  return filled;
}

std::vector<RowField> fields_by_size(std::string_view row) {
  std::vector<RowField> fields;
  each_field(row, [&](uint32_t number, std::string_view bytes) { fields.push_back({number, bytes.size()}); });
  std::stable_sort(fields.begin(), fields.end(),
                   [](const RowField& a, const RowField& b) { return a.bytes > b.bytes; });
  return fields;
}

std::string without_columns(std::string_view row, const std::vector<uint32_t>& columns) {
  std::string rest;
  each_field(row, [&](uint32_t number, std::string_view bytes) {
    if (!among(columns, number)) rest += bytes;
  });
  return rest;
}

}  // namespace anabranch
