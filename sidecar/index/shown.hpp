// What an engine holds of a document, as differences show it.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace anabranch {

constexpr std::size_t actual_bytes_max = 10'000;

// As JSON of at most actual_bytes_max: `contents` itself, or a string of its beginning when it is longer or no JSON.
std::string shown(std::string_view contents);

}  // namespace anabranch
