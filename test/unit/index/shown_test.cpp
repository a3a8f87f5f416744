#include "sidecar/index/shown.hpp"

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

namespace anabranch {
namespace {

using nlohmann::json;

TEST(Shown, IsTheContentsWhereTheyAreShortJson) {
  for (const char* contents : {"{}", R"({"a":  [1, 2.50]})", "7"}) EXPECT_EQ(shown(contents), contents);
  const auto longest = json(std::string(actual_bytes_max - 2, 'x')).dump();
  EXPECT_EQ(shown(longest), longest);
}

TEST(Shown, IsBoundedJsonOfWhateverElse) {
  EXPECT_EQ(shown(""), R"("")");
  EXPECT_EQ(shown("a\"b"), R"("a\"b")");
  EXPECT_EQ(shown("{\xff"), "\"{\xef\xbf\xbd\"");
  for (const char byte : {'x', '\0', '\x1f', '\xff', '"'}) {
    const auto text = shown(std::string(1'000'000, byte));
    EXPECT_TRUE(json::accept(text));
    EXPECT_LE(text.size(), actual_bytes_max);
    EXPECT_GT(text.size(), 1'000U);
  }
}

}  // namespace
}  // namespace anabranch
