// Text put together piece by piece: most of what statements are made of.
#pragma once

#include "extension/postgres.hpp"

#include <type_traits>

namespace anabranch {

/// Grows in the memory context that was current when it was made.
struct Text {
  StringInfoData buffer;
  Text() { initStringInfo(&buffer); }
  bool empty() const { return buffer.len == 0; }
  const char* c_str() const { return buffer.data; }
};
static_assert(std::is_trivially_destructible_v<Text>);

/// Appends a piece, behind `separator` unless it is the first. `format` is printf's; without values it stands as it is.
template <typename... Values>
void add(Text& text, const char* separator, const char* format, Values... values) {
  if (!text.empty()) appendStringInfoString(&text.buffer, separator);
  if constexpr (sizeof...(values) == 0)
    appendStringInfoString(&text.buffer, format);
  else
    appendStringInfo(&text.buffer, format, values...);
}

}  // namespace anabranch
