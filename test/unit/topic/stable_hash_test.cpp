#include "sidecar/topic/stable_hash.hpp"

#include <gtest/gtest.h>

#include <string>

namespace anabranch {
namespace {

TEST(StableHash, IsTheBeginningOfSha256) {
  EXPECT_EQ(fingerprint_text(stable_hash("")), "e3b0c44298fc1c14");
  EXPECT_EQ(fingerprint_text(stable_hash("abc")), "ba7816bf8f01cfea");
  EXPECT_EQ(fingerprint_text(stable_hash("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq")),
            "248d6a61d20638b8");
  EXPECT_EQ(fingerprint_text(stable_hash(std::string(1'000'000, 'a'))), "cdc76e5c9914fb92");
}

}  // namespace
}  // namespace anabranch
