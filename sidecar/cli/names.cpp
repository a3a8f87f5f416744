#include "sidecar/cli/names.hpp"

#include <algorithm>
#include <cstdint>
#include <fmt/format.h>
#include <stdexcept>

namespace anabranch {
namespace {

constexpr std::string_view slot_prefix = "anabranch_";
constexpr size_t hash_suffix_bytes = 9;

bool is_slot_character(char c) {
  return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_';
}

// FNV-1a. The result is part of a slot's name: do not change it.
uint32_t hash(std::string_view bytes) {
  uint32_t value = 2166136261;
  for (const char byte : bytes) value = (value ^ static_cast<unsigned char>(byte)) * 16777619;
  return value;
}

// Whether the name ends as fill slots' names do: "_fill_" and digits.
bool looks_like_fill_slot(std::string_view name) {
  const auto last = name.find_last_not_of("0123456789");
  return last != std::string_view::npos && last + 1 < name.size() && name.substr(0, last + 1).ends_with("_fill_");
}

void refuse_nul(std::string_view text) {
  if (text.find('\0') != std::string_view::npos) throw std::invalid_argument("a name or value holds a NUL byte");
}

std::string quote(std::string_view text, char mark) {
  refuse_nul(text);
  std::string quoted(1, mark);
  for (const char c : text) {
    if (c == mark) quoted += mark;
    quoted += c;
  }
  return quoted += mark;
}

// The length of the UTF-8 character at the start of `text`, 0 where there is none.
size_t character_bytes(std::string_view text) {
  const auto first = static_cast<unsigned char>(text[0]);
  const size_t length = first < 0x80                    ? 1
                        : first >= 0xc2 && first < 0xe0 ? 2
                        : first >= 0xe0 && first < 0xf0 ? 3
                        : first >= 0xf0 && first < 0xf5 ? 4
                                                        : 0;
  if (length == 0 || length > text.size()) return 0;
  for (size_t i = 1; i < length; ++i)
    if ((static_cast<unsigned char>(text[i]) & 0xc0) != 0x80) return 0;
  return length;
}

uint32_t code_point(std::string_view character) {
  const auto first = static_cast<unsigned char>(character[0]);
  if (character.size() == 1) return first;
  uint32_t value = first & (0x7fu >> character.size());
  for (const char byte : character.substr(1)) value = value << 6 | (static_cast<unsigned char>(byte) & 0x3fu);
  return value;
}

bool moves_the_cursor_or_hides(uint32_t c) {
  return c < 0x20 || (c >= 0x7f && c < 0xa0) || (c >= 0x200b && c <= 0x200f) || (c >= 0x2028 && c <= 0x202e) ||
         (c >= 0x2066 && c <= 0x2069) || (c >= 0xd800 && c <= 0xdfff) || c == 0xfeff;
}

}  // namespace

std::string slot_name_for(std::string_view database) {
  std::string name(slot_prefix);
  bool changed = false;
  for (const char c : database) {
    const bool upper = c >= 'A' && c <= 'Z';
    const char lower = upper ? static_cast<char>(c - 'A' + 'a') : c;
    changed |= upper || !is_slot_character(c);
    name += is_slot_character(lower) ? lower : '_';
  }
  if (changed || name.size() > slot_name_bytes_max || looks_like_fill_slot(name)) {
    name.resize(std::min(name.size(), slot_name_bytes_max - hash_suffix_bytes));
    name += fmt::format("_{:08x}", hash(database));
  }
  return name;
}

bool is_slot_name(std::string_view slot) {
  return !slot.empty() && slot.size() <= slot_name_bytes_max && !looks_like_fill_slot(slot) &&
         std::all_of(slot.begin(), slot.end(), is_slot_character);
}

std::string quote_identifier(std::string_view name) {
  return quote(name, '"');
}

std::string quote_literal(std::string_view text) {
  auto quoted = quote(text, '\'');
  if (text.find('\\') == std::string_view::npos) return quoted;
  std::string doubled = "E";
  for (const char c : quoted) doubled.append(c == '\\' ? 2 : 1, c);
  return doubled;
}

std::string printable(std::string_view text) {
  std::string shown;
  while (!text.empty()) {
    const size_t length = character_bytes(text);
    const auto character = text.substr(0, std::max<size_t>(length, 1));
    if (length == 0 || moves_the_cursor_or_hides(code_point(character)))
      for (const char byte : character) shown += fmt::format("\\x{:02x}", static_cast<unsigned char>(byte));
    else
      shown += character;
    text.remove_prefix(character.size());
  }
  return shown;
}

}  // namespace anabranch
