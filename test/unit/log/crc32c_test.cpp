#include "sidecar/log/crc32c.hpp"

#include <random>
#include <string>

#include <gtest/gtest.h>

namespace anabranch {
namespace {

uint32_t crc_of(std::string_view bytes) {
  Crc32c crc;
  crc.add(bytes);
  return crc.value();
}

TEST(Crc32c, IsCastagnolis) {
  // From RFC 3720, appendix B.4, and the customary check value.
  EXPECT_EQ(crc_of("123456789"), 0xE3069283u);
  EXPECT_EQ(crc_of(std::string(32, '\0')), 0x8A9136AAu);
  EXPECT_EQ(crc_of(std::string(32, '\xFF')), 0x62A8AB43u);
  EXPECT_EQ(crc_of(""), 0u);
}

TEST(Crc32c, TableAndInstructionAgree) {
  std::mt19937 random(7);
  for (size_t size = 0; size < 200; ++size) {
    std::string bytes(size, '\0');
    for (char& c : bytes) c = static_cast<char>(random());
    EXPECT_EQ(~Crc32c::by_table(~0u, bytes), crc_of(bytes)) << size;
  }
}

TEST(Crc32c, RunsOverPieces) {
  const std::string bytes = "the quick brown fox jumps over the lazy dog";
  for (size_t cut = 0; cut <= bytes.size(); ++cut) {
    Crc32c crc;
    crc.add(std::string_view(bytes).substr(0, cut));
    crc.add(std::string_view(bytes).substr(cut));
    EXPECT_EQ(crc.value(), crc_of(bytes));
  }
}

}  // namespace
}  // namespace anabranch
