#include "sidecar/publish/json_text.hpp"

#include <array>
#include <charconv>
#include <cmath>

namespace anabranch {
namespace {

// What stands for a byte inside quotes: 0 itself, 'u' \u00XX, otherwise \ and the letter.
constexpr auto escapes = [] {
  std::array<char, 256> table{};
  for (int c = 0; c < 0x20; ++c) table[static_cast<size_t>(c)] = 'u';
  table['\b'] = 'b';
  table['\f'] = 'f';
  table['\n'] = 'n';
  table['\r'] = 'r';
  table['\t'] = 't';
  table['"'] = '"';
  table['\\'] = '\\';
  return table;
}();

template <typename Number>
void append_plain(std::string& out, Number value) {
  char digits[32];
  const auto end = std::to_chars(digits, digits + sizeof(digits), value).ptr;
  out.append(digits, end);
}

template <typename Number>
void append_float(std::string& out, Number value) {
  if (std::isnan(value))
    out += "\"NaN\"";
  else if (std::isinf(value))
    out += value > 0 ? "\"Infinity\"" : "\"-Infinity\"";
  else if (value == 0 && std::signbit(value))
    out += "-0.0";  // a reader would take -0 for an integer
  else
    append_plain(out, value);
}

}  // namespace

void append_json_string(std::string& out, std::string_view utf8) {
  out += '"';
  size_t written = 0;
  for (size_t i = 0; i < utf8.size(); ++i) {
    const char escape = escapes[static_cast<unsigned char>(utf8[i])];
    if (escape == 0) continue;
    out.append(utf8, written, i - written);
    written = i + 1;
    out += '\\';
    out += escape;
    if (escape == 'u') {
      constexpr const char* digits = "0123456789abcdef";
      out += "00";
      out += digits[utf8[i] >> 4];
      out += digits[utf8[i] & 15];
    }
  }
  out.append(utf8, written);
  out += '"';
}

void append_json_base64(std::string& out, std::string_view bytes) {
  constexpr const char* alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  const auto byte = [&](size_t at) { return static_cast<uint32_t>(static_cast<unsigned char>(bytes[at])); };
  out += '"';
  size_t i = 0;
  for (; i + 3 <= bytes.size(); i += 3) {
    const uint32_t bits = byte(i) << 16 | byte(i + 1) << 8 | byte(i + 2);
    const char group[4] = {alphabet[bits >> 18], alphabet[bits >> 12 & 63], alphabet[bits >> 6 & 63],
                           alphabet[bits & 63]};
    out.append(group, 4);
  }
  if (const auto left = bytes.size() - i; left > 0) {
    const uint32_t bits = byte(i) << 16 | (left == 2 ? byte(i + 1) << 8 : 0);
    const char group[4] = {alphabet[bits >> 18], alphabet[bits >> 12 & 63], left == 2 ? alphabet[bits >> 6 & 63] : '=',
                           '='};
    out.append(group, 4);
  }
  out += '"';
}

void append_json_number(std::string& out, double value) {
  append_float(out, value);
}

void append_json_number(std::string& out, float value) {
  append_float(out, value);
}

void append_number(std::string& out, int64_t value) {
  append_plain(out, value);
}

void append_number(std::string& out, uint64_t value) {
  append_plain(out, value);
}

bool is_utf8(std::string_view text) {
  for (size_t i = 0; i < text.size();) {
    const auto lead = static_cast<unsigned char>(text[i]);
    if (lead < 0x80) {
      ++i;
      continue;
    }
    const size_t size = lead >= 0xf0 ? 4 : lead >= 0xe0 ? 3 : 2;
    if (lead < 0xc2 || lead > 0xf4 || text.size() - i < size) return false;
    uint32_t point = lead & (0xffU >> (size + 1));
    for (size_t k = 1; k < size; ++k) {
      const auto next = static_cast<unsigned char>(text[i + k]);
      if ((next & 0xc0) != 0x80) return false;
      point = point << 6 | (next & 0x3f);
    }
    constexpr uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
    if (point < least[size] || point > 0x10ffff || (point >= 0xd800 && point < 0xe000)) return false;
    i += size;
  }
  return true;
}

}  // namespace anabranch
