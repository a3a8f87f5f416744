// Hashes that stand in topics and in their names, there for good.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace anabranch {

// The hash at the end of long names, and of relations' descriptions: the first 8 bytes of SHA-256, big-endian.
uint64_t stable_hash(std::string_view bytes);
// 16 hexadecimal digits, lower case.
std::string fingerprint_text(uint64_t fingerprint);

}  // namespace anabranch
