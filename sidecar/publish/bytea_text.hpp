// The bytes of a bytea from the text that the server prints.
#pragma once

#include <string>
#include <string_view>

namespace anabranch {

// Of "\x0f12", in hexadecimal, as it is printed under bytea_output = hex. Other text has no meaning here.
inline std::string bytes_of_bytea(std::string_view text) {
  const auto digit = [](char c) { return c <= '9' ? c - '0' : (c | 0x20) - 'a' + 10; };
  std::string bytes;
  bytes.reserve(text.size() / 2);
  for (size_t i = 2; i + 1 < text.size(); i += 2) bytes += static_cast<char>(digit(text[i]) << 4 | digit(text[i + 1]));
  return bytes;
}

}  // namespace anabranch
