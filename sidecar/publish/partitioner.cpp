#include "sidecar/publish/partitioner.hpp"

namespace anabranch {
namespace {

// MurmurHash2, 32 bits, with the seed that Kafka's Java client has.
uint32_t murmur2(std::string_view key) {
  constexpr uint32_t multiplier = 0x5bd1e995;
  constexpr uint32_t seed = 0x9747b28c;
  const auto* at = reinterpret_cast<const unsigned char*>(key.data());
  size_t left = key.size();
  uint32_t hash = seed ^ static_cast<uint32_t>(key.size());
  for (; left >= 4; left -= 4, at += 4) {
    uint32_t word = uint32_t{at[0]} | uint32_t{at[1]} << 8 | uint32_t{at[2]} << 16 | uint32_t{at[3]} << 24;
    word *= multiplier;
    word ^= word >> 24;
    word *= multiplier;
    hash *= multiplier;
    hash ^= word;
  }
  if (left >= 3) hash ^= uint32_t{at[2]} << 16;
  if (left >= 2) hash ^= uint32_t{at[1]} << 8;
  if (left >= 1) {
    hash ^= at[0];
    hash *= multiplier;
  }
  hash ^= hash >> 13;
  hash *= multiplier;
  hash ^= hash >> 15;
  return hash;
}

}  // namespace

int32_t partition_of(std::string_view key, int32_t partitions) {
  return static_cast<int32_t>((murmur2(key) & 0x7fffffff) % static_cast<uint32_t>(partitions));
}

}  // namespace anabranch
