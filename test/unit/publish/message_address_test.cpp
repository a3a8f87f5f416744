// A message's topic and key, from the prefix that it was emitted with.
#include "sidecar/publish/message_address.hpp"

#include <gtest/gtest.h>

namespace anabranch {
namespace {

// "topic", "topic key", or "" where the message is not published; an empty key shows as "topic ".
std::string address(std::string_view emitted, const std::vector<std::string>& configured) {
  const auto found = message_address(emitted, configured);
  if (!found) return "";
  return std::string(found->prefix) + (found->key ? " " + std::string(*found->key) : "");
}

TEST(MessageAddressTest, HasNoKeyWhereThePrefixIsTheConfiguredOne) {
  EXPECT_EQ(address("outbox", {"audit", "outbox"}), "outbox");
}

TEST(MessageAddressTest, TakesTheKeyFromBehindTheColon) {
  EXPECT_EQ(address("outbox:42", {"outbox"}), "outbox 42");
  EXPECT_EQ(address("outbox:a:b", {"outbox"}), "outbox a:b");
  EXPECT_EQ(address("outbox:", {"outbox"}), "outbox ");
}

TEST(MessageAddressTest, PrefersTheExactPrefixThenTheLongest) {
  EXPECT_EQ(address("shop:outbox", {"shop", "shop:outbox"}), "shop:outbox");
  EXPECT_EQ(address("shop:outbox:7", {"shop", "shop:outbox", "sh"}), "shop:outbox 7");
  EXPECT_EQ(address("shop:outbox:7", {"shop:outbox", "shop"}), "shop:outbox 7");
}

TEST(MessageAddressTest, LeavesOutWhatIsNotConfigured) {
  EXPECT_EQ(address("outbox2", {"outbox"}), "");
  EXPECT_EQ(address("out", {"outbox"}), "");
  EXPECT_EQ(address("", {"outbox"}), "");
  EXPECT_EQ(address("outbox", {}), "");
}

}  // namespace
}  // namespace anabranch
