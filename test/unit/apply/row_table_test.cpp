#include "sidecar/apply/row_table.hpp"

#include <map>
#include <random>
#include <set>
#include <string>

#include <gtest/gtest.h>

namespace anabranch {
namespace {

TEST(HashBytes, LooksAtEveryByteAndTheLength) {
  std::set<uint32_t> seen;
  size_t count = 0;
  for (size_t size = 0; size < 64; ++size) {
    std::string bytes(size, 'x');
    seen.insert(hash_bytes(bytes, 1));
    ++count;
    for (size_t at = 0; at < size; ++at) {
      std::string other = bytes;
      other[at] = 'y';
      seen.insert(hash_bytes(other, 1));
      ++count;
    }
  }
  EXPECT_GE(seen.size() + 2, count);  // 2,080 hashes of 32 bits: a collision is one in two thousand
  EXPECT_NE(hash_bytes("abc", 1), hash_bytes("abc", 2));
}

TEST(ImageTable, NetsAndKeepsImages) {
  Arena arena;
  ImageTable table;
  std::mt19937 random(3);
  std::map<std::pair<std::string, uint32_t>, int64_t> expected;
  for (int i = 0; i < 50'000; ++i) {
    const std::string image = std::to_string(random() % 5'000) + std::string(random() % 3, 'z');
    const uint32_t source = random() % 2 + 1;
    const int weight = random() % 2 == 0 ? 1 : -1;
    table.add(arena, image, source, 0, weight);
    expected[{image, source}] += weight;
  }
  ASSERT_EQ(table.entries().size(), expected.size());
  for (const auto& entry : table.entries())
    EXPECT_EQ((expected[{std::string(entry.image, entry.size), entry.source}]), entry.weight);
  EXPECT_GT(table.bytes(), expected.size() * sizeof(ImageTable::Entry));
  table.clear();
  EXPECT_TRUE(table.entries().empty());
  table.add(arena, "again", 1, 0, 1);
  EXPECT_EQ(table.entries().size(), 1u);
}

TEST(ImageTable, TellsTransactionsApart) {
  Arena arena;
  ImageTable table;
  table.add(arena, "image", 1, 5, 1);
  table.add(arena, "image", 1, 6, -1);
  table.add(arena, "image", 1, 5, 1);
  ASSERT_EQ(table.entries().size(), 2u);
  EXPECT_EQ(table.entries()[0].weight, 2);
  EXPECT_EQ(table.entries()[1].weight, -1);
}

TEST(KeyTable, TheLastStateWins) {
  Arena arena;
  KeyTable table;
  table.put(arena, "a", "first", 1, 0, true);
  table.put(arena, "b", "b row", 1, 0, false);
  table.put(arena, "a", "a much longer row than the first", 1, 0, false);
  table.put(arena, "a", "short", 1, 0, false);
  table.remove(arena, "b", 1, 0);
  table.remove(arena, "c", 1, 0);
  table.put(arena, "a", "other source", 2, 0, false);
  ASSERT_EQ(table.entries().size(), 4u);
  const auto& a = table.entries()[0];
  EXPECT_TRUE(a.present && a.born);
  EXPECT_EQ(std::string(a.row, a.row_size), "short");
  EXPECT_FALSE(table.entries()[1].present || table.entries()[1].born);
  EXPECT_FALSE(table.entries()[2].present);
  EXPECT_EQ(std::string(table.entries()[3].row, table.entries()[3].row_size), "other source");
}

TEST(Arena, HandsOutRoomThatStays) {
  Arena arena;
  EXPECT_NE(arena.reserve(0), nullptr);
  std::vector<std::pair<char*, size_t>> taken;
  std::mt19937 random(5);
  for (int i = 0; i < 1'000; ++i) {
    const size_t size = random() % 5'000;
    char* room = arena.reserve(size + 10);
    EXPECT_EQ(room, arena.reserve(1));
    std::memset(room, i & 0xFF, size);
    taken.emplace_back(arena.take(size), size);
  }
  for (size_t i = 0; i < taken.size(); ++i)
    for (size_t at = 0; at < taken[i].second; at += 97) ASSERT_EQ(taken[i].first[at], static_cast<char>(i & 0xFF));
  arena.reset();
  EXPECT_LE(arena.bytes(), size_t{1} << 20);
  EXPECT_NE(arena.reserve(3'000'000), nullptr);
  EXPECT_GE(arena.bytes(), 3'000'000u);
  arena.reset();
  EXPECT_LE(arena.bytes(), size_t{1} << 20);
}

}  // namespace
}  // namespace anabranch
