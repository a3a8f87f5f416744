#include "sidecar/log/crc32c.hpp"

#include <array>
#include <cstring>

#if defined(__x86_64__)
#include <nmmintrin.h>
#elif defined(__ARM_FEATURE_CRC32)
#include <arm_acle.h>
#endif

namespace anabranch {
namespace {

// Castagnoli's polynomial, bits reversed: there for good.
constexpr uint32_t polynomial = 0x82F63B78;

using Tables = std::array<std::array<uint32_t, 256>, 8>;

// tables[k][b]: what byte b does to the checksum when k bytes follow it.
constexpr Tables make_tables() {
  Tables tables{};
  for (uint32_t byte = 0; byte < 256; ++byte) {
    uint32_t crc = byte;
    for (int bit = 0; bit < 8; ++bit) crc = (crc >> 1) ^ ((crc & 1) != 0 ? polynomial : 0);
    tables[0][byte] = crc;
  }
  for (size_t k = 1; k < tables.size(); ++k)
    for (uint32_t byte = 0; byte < 256; ++byte)
      tables[k][byte] = (tables[k - 1][byte] >> 8) ^ tables[0][tables[k - 1][byte] & 0xFF];
  return tables;
}

constexpr Tables tables = make_tables();

#if defined(__x86_64__)
__attribute__((target("sse4.2"))) uint32_t by_instruction(uint32_t state, std::string_view bytes) {
  uint64_t crc = state;
  const char* at = bytes.data();
  size_t left = bytes.size();
  for (; left >= 8; at += 8, left -= 8) {
    uint64_t word;
    std::memcpy(&word, at, 8);
    crc = _mm_crc32_u64(crc, word);
  }
  for (; left > 0; ++at, --left) crc = _mm_crc32_u8(static_cast<uint32_t>(crc), static_cast<uint8_t>(*at));
  return static_cast<uint32_t>(crc);
}
const auto compute = __builtin_cpu_supports("sse4.2") ? by_instruction : Crc32c::by_table;
#elif defined(__ARM_FEATURE_CRC32)
uint32_t compute(uint32_t state, std::string_view bytes) {
  const char* at = bytes.data();
  size_t left = bytes.size();
  for (; left >= 8; at += 8, left -= 8) {
    uint64_t word;
    std::memcpy(&word, at, 8);
    state = __crc32cd(state, word);
  }
  for (; left > 0; ++at, --left) state = __crc32cb(state, static_cast<uint8_t>(*at));
  return state;
}
#else
const auto compute = Crc32c::by_table;
#endif

}  // namespace

uint32_t Crc32c::by_table(uint32_t state, std::string_view bytes) {
  const char* at = bytes.data();
  size_t left = bytes.size();
  for (; left >= 8; at += 8, left -= 8) {
    uint64_t word;
    std::memcpy(&word, at, 8);  // little-endian, as decoder/wire.hpp asserts
    word ^= state;
    state = 0;
    for (unsigned byte = 0; byte < 8; ++byte) state ^= tables[7 - byte][(word >> (8 * byte)) & 0xFF];
  }
  for (; left > 0; ++at, --left) state = (state >> 8) ^ tables[0][(state ^ static_cast<uint8_t>(*at)) & 0xFF];
  return state;
}

void Crc32c::add(std::string_view bytes) {
  state_ = compute(state_, bytes);
}

}  // namespace anabranch
