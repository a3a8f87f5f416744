#include "sidecar/cli/settings.hpp"

#include <gtest/gtest.h>
#include <libpq-fe.h>

namespace anabranch {
namespace {

TEST(Settings, ConnectionStringsKeepEveryByte) {
  const ConnectionParameters home{{"host", "/run/it's"}, {"dbname", "a\\b' c=d\n\xf0\x9f\x98\x80"}, {"user", " "}};
  char* error = nullptr;
  auto* options = PQconninfoParse(conninfo_of(home).c_str(), &error);
  ASSERT_NE(options, nullptr) << error;
  ConnectionParameters parsed;
  for (auto* option = options; option->keyword != nullptr; ++option)
    if (option->val != nullptr) parsed[option->keyword] = option->val;
  PQconninfoFree(options);
  EXPECT_EQ(parsed, home);
}

TEST(Settings, TheSlotFollowsTheDatabase) {
  Settings settings;
  settings.home = {{"dbname", "Shop"}};
  EXPECT_EQ(slot_of(settings), "anabranch_shop_28742cc9");
  settings.slot = "mine";
  EXPECT_EQ(slot_of(settings), "mine");
}

TEST(Settings, DescriptionsHoldNoSecretAndNoControls) {
  const auto text =
      describe({{"host", "db1\n"}, {"port", "5433"}, {"dbname", "shop"}, {"user", "u"}, {"password", "canary"}});
  EXPECT_EQ(text, "database \"shop\" on db1\\x0a:5433 as \"u\"");
}

}  // namespace
}  // namespace anabranch
