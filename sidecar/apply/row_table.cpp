#include "sidecar/apply/row_table.hpp"

#include <random>

namespace anabranch {
namespace {

uint64_t read_word(const char* at, size_t size) {
  uint64_t word = 0;
  std::memcpy(&word, at, size);
  return word;
}

// The two halves of a 128-bit product, folded: every bit of the input reaches every bit of the result.
uint64_t fold(uint64_t a, uint64_t b) {
  __extension__ using Wide = unsigned __int128;
  const Wide product = static_cast<Wide>(a) * b;
  return static_cast<uint64_t>(product) ^ static_cast<uint64_t>(product >> 64);
}

// Odd constants with as many ones as zeros.
constexpr uint64_t first_constant = 0x9E3779B97F4A7C15, second_constant = 0xC2B2AE3D27D4EB4F;

}  // namespace

const uint64_t hash_seed = [] {
  std::random_device device;
  return uint64_t{device()} << 32 | device();
}();

uint32_t hash_bytes(std::string_view bytes, uint64_t seed) {
  const char* at = bytes.data();
  size_t left = bytes.size();
  uint64_t state = fold(seed ^ first_constant, bytes.size() ^ second_constant);
  for (; left >= 16; at += 16, left -= 16)
    state = fold(read_word(at, 8) ^ state ^ first_constant, read_word(at + 8, 8) ^ second_constant ^ seed);
  uint64_t a = 0, b = 0;
  if (left >= 8) {  // the two words may overlap
    a = read_word(at, 8);
    b = read_word(at + left - 8, 8);
  } else if (left >= 4) {
    a = read_word(at, 4);
    b = read_word(at + left - 4, 4);
  } else if (left > 0) {
    a = static_cast<uint8_t>(at[0]) | uint64_t{static_cast<uint8_t>(at[left / 2])} << 8 |
        uint64_t{static_cast<uint8_t>(at[left - 1])} << 16;
  }
  return static_cast<uint32_t>(
      fold(fold(a ^ state ^ first_constant, b ^ second_constant ^ seed), state ^ second_constant));
}

void ImageTable::add(Arena& arena, std::string_view image, uint32_t source, uint64_t xid, int weight) {
  const uint32_t hash = hash_bytes(image, hash_seed ^ source ^ (xid * second_constant));
  Entry* entry = table_.find(hash, [&](const Entry& other) {
    return other.size == image.size() && other.source == source && other.xid == xid &&
           std::memcmp(other.image, image.data(), image.size()) == 0;
  });
  if (entry != nullptr) {
    entry->weight += weight;
    return;
  }
  char* kept = arena.reserve(image.size());
  if (kept != image.data()) std::memmove(kept, image.data(), image.size());
  arena.take(image.size());
  table_.add(hash, {kept, static_cast<uint32_t>(image.size()), source, weight, xid});
}

KeyTable::Entry& KeyTable::entry_of(Arena& arena, std::string_view key, uint32_t source, bool born) {
  const uint32_t hash = hash_bytes(key, hash_seed ^ source);
  Entry* entry = table_.find(hash, [&](const Entry& other) {
    return other.key_size == key.size() && other.source == source &&
           std::memcmp(other.key, key.data(), key.size()) == 0;
  });
  if (entry != nullptr) return *entry;
  char* kept = arena.reserve(key.size());
  std::memcpy(kept, key.data(), key.size());
  arena.take(key.size());
  return table_.add(hash, {kept, nullptr, static_cast<uint32_t>(key.size()), 0, 0, source, 0, false, born});
}

void KeyTable::put(Arena& arena, std::string_view key, std::string_view row, uint32_t source, uint64_t xid, bool born) {
  Entry& entry = entry_of(arena, key, source, born);
  if (entry.row == nullptr || row.size() > entry.row_room) {
    // A hot key's row that grows a little each time gets room to grow in: what it leaves behind stays a fraction.
    const size_t room = entry.row == nullptr ? row.size() : row.size() + row.size() / 2;
    entry.row = arena.reserve(room);
    arena.take(room);
    entry.row_room = static_cast<uint32_t>(room);
  }
  std::memcpy(const_cast<char*>(entry.row), row.data(), row.size());
  entry.row_size = static_cast<uint32_t>(row.size());
  entry.present = true;
  entry.xid = xid;
}

void KeyTable::remove(Arena& arena, std::string_view key, uint32_t source, uint64_t xid) {
  Entry& entry = entry_of(arena, key, source, false);
  entry.present = false;
  entry.xid = xid;
}

}  // namespace anabranch
