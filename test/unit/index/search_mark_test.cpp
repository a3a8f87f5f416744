#include "sidecar/index/search_mark.hpp"

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

namespace anabranch {
namespace {

Document document_of(std::string_view key, std::string_view digest) {
  return {.key = key, .id = {}, .target = {}, .member = {}, .content = "{}", .digest = digest};
}

std::string marked(const Document& document, IndexVersion version) {
  std::string json;
  append_mark(json, document, version);
  return nlohmann::json::parse(json).get<std::string>();
}

TEST(SearchMark, ComesBackAsItWas) {
  for (const std::string_view key : {"", "{}", R"({"id": 1})", R"({"id": "\u00e4 / \\"})", "a", "ab", "abc", "abcd"})
    for (const IndexVersion version : {IndexVersion{0}, IndexVersion{1}, IndexVersion{0x0102030405060708},
                                       IndexVersion{INT64_MAX}, IndexVersion{UINT64_MAX}})
      for (const std::string_view digest : {"", "d41d8cd98f00b204e9800998ecf8427e"}) {
        auto text = marked(document_of(key, digest), version);
        // The engine gives it back without padding.
        for (bool whole = true;; whole = false) {
          const auto mark = read_mark(text);
          ASSERT_TRUE(mark) << text;
          EXPECT_EQ(mark->version, version);
          EXPECT_EQ(mark->digest, digest);
          EXPECT_EQ(mark->key, key);
          if (!whole) break;
          while (text.ends_with('=')) text.pop_back();
        }
      }
}

TEST(SearchMark, OfWhatIsDeletedHasNoDigest) {
  auto document = document_of("k", "d");
  document.content.reset();
  EXPECT_EQ(read_mark(marked(document, 7))->digest, "");
}

// As documents that are there have it.
TEST(SearchMark, HasItsFormForGood) {
  EXPECT_EQ(marked(document_of(R"({"id": 1})", "d1"), 0x0102030405060708), "AQIDBAUGBwgCZDF7ImlkIjogMX0=");
}

TEST(SearchMark, IsNotFoundInAnythingElse) {
  for (const char* text : {"", "AQ", "AQIDBAUGBwg=", "AQIDBAUGBwgC", "AQIDBAUGBwgCZA==", "AQIDBAUGBwgCZDF7 mlkIjogMX0=",
                           "====", "\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff"})
    EXPECT_FALSE(read_mark(text)) << text;
}

}  // namespace
}  // namespace anabranch
