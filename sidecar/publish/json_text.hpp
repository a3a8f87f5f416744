// Values as JSON, appended to a string.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace anabranch {

void append_json_string(std::string& out, std::string_view utf8);
// The bytes in base64, in quotes.
void append_json_base64(std::string& out, std::string_view bytes);
// The shortest text that reads back as the same number; NaN and the infinities in quotes, as JSON has no word for them.
void append_json_number(std::string& out, double value);
void append_json_number(std::string& out, float value);
void append_number(std::string& out, int64_t value);
void append_number(std::string& out, uint64_t value);

// Whether it is UTF-8 without surrogates, overlong forms and anything past U+10FFFF.
bool is_utf8(std::string_view text);

}  // namespace anabranch
