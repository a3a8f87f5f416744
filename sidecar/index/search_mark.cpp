#include "sidecar/index/search_mark.hpp"

#include <cstdint>

#include "sidecar/publish/json_text.hpp"

namespace anabranch {
namespace {

constexpr std::size_t version_bytes = 8, digest_at = version_bytes + 1;
constexpr int byte_bits = 8, digit_bits = 6;

// Of a digit of base64; -1 for another character.
int value_of(char digit) {
  if (digit >= 'A' && digit <= 'Z') return digit - 'A';
  if (digit >= 'a' && digit <= 'z') return digit - 'a' + 26;
  if (digit >= '0' && digit <= '9') return digit - '0' + 52;
  if (digit == '+') return 62;
  return digit == '/' ? 63 : -1;
}

// Engines leave the padding out.
std::optional<std::string> decode_base64(std::string_view text) {
  while (text.ends_with('=')) text.remove_suffix(1);
  std::string bytes;
  bytes.reserve(text.size() * digit_bits / byte_bits);
  uint32_t bits = 0;
  int count = 0;
  for (const char digit : text) {
    const int value = value_of(digit);
    if (value < 0) return std::nullopt;
    bits = bits << digit_bits | static_cast<uint32_t>(value);
    count += digit_bits;
    if (count < byte_bits) continue;
    count -= byte_bits;
    bytes += static_cast<char>(bits >> count);
  }
  return bytes;
}

}  // namespace

void append_mark(std::string& json, const Document& document, IndexVersion version) {
  std::string bytes;
  bytes.reserve(digest_at + document.digest.size() + document.key.size());
  for (std::size_t i = version_bytes; i-- > 0;) bytes += static_cast<char>(version >> i * byte_bits);
  const std::string_view digest = document.content ? document.digest : std::string_view();
  bytes += static_cast<char>(digest.size());
  bytes.append(digest).append(document.key);
  append_json_base64(json, bytes);
}

std::optional<SearchMark> read_mark(std::string_view base64) {
  const auto bytes = decode_base64(base64);
  if (!bytes || bytes->size() < digest_at) return std::nullopt;
  const auto byte = [&](std::size_t at) { return static_cast<unsigned char>((*bytes)[at]); };
  SearchMark mark{};
  for (std::size_t i = 0; i < version_bytes; ++i) mark.version = mark.version << byte_bits | byte(i);
  const std::size_t key_at = digest_at + byte(version_bytes);
  if (key_at > bytes->size()) return std::nullopt;
  mark.digest = bytes->substr(digest_at, key_at - digest_at);
  mark.key = bytes->substr(key_at);
  return mark;
}

}  // namespace anabranch
