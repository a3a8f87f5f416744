#include "sidecar/index/hash_fields.hpp"

#include <cstdlib>
#include <map>
#include <random>
#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

namespace anabranch {
namespace {

using nlohmann::json;
using testing::ElementsAre;
using testing::IsEmpty;
using testing::Pair;

std::optional<std::vector<std::pair<std::string, std::string>>> fields_of(std::string_view content) {
  std::vector<std::pair<std::string, std::string>> fields;
  if (!read_hash_fields(content, [&](auto name, auto value) { fields.emplace_back(name, value); })) return std::nullopt;
  return fields;
}

TEST(HashFields, AreReadInOrder) {
  EXPECT_THAT(fields_of(R"({"b": "1", "a": "x y", "": ""})").value(),
              ElementsAre(Pair("b", "1"), Pair("a", "x y"), Pair("", "")));
  EXPECT_THAT(fields_of("{}").value(), IsEmpty());
  EXPECT_THAT(fields_of(" {\n} ").value(), IsEmpty());
}

TEST(HashFields, AreWhatJsonMeans) {
  EXPECT_THAT(fields_of(R"({"a\n\"\\": "\u0001\u00e9 \ud83d\ude00 ü \/"})").value(),
              ElementsAre(Pair("a\n\"\\", "\x01\u00e9 \U0001F600 ü /")));
}

TEST(HashFields, AreOfAnObjectOfStringsAlone) {
  for (const char* content :
       {"", " ", "x", "[]", "\"a\"", "1", "null", R"({"a": 1})", R"({"a": null})", R"({"a": "b", "c": {}})",
        R"({"a": ["b"]})", R"({"a": "b")", R"({"a": "b"} x)", R"({"a": "b",})", R"({"a" "b"})", R"({"a": "\x"})",
        "{\"a\": \"\x01\"}", "{\"a\": \"\xff\"}"})
    EXPECT_FALSE(fields_of(content)) << content;
}

// Whatever is between the quotes, and wherever a text is cut or changed: what is read is what nlohmann's parser reads.
TEST(HashFields, AreThoseThatAnotherParserReads) {
  const char* given = std::getenv("ANABRANCH_SEED");
  const uint64_t seed = given != nullptr ? std::strtoull(given, nullptr, 10) : std::random_device()();
  SCOPED_TRACE("ANABRANCH_SEED=" + std::to_string(seed));
  std::mt19937_64 random(seed);
  const auto piece = [&] {
    static const std::vector<std::string> pieces = {"a",          "\"", "\\", "/", "\n", "\x01", "é",
                                                    "\U0001F600", " ",  "{",  "}", ":",  ","};
    std::string text;
    for (auto left = random() % 70; left > 0; --left) text += pieces[random() % pieces.size()];
    return text;
  };
  for (int round = 0; round < 20'000; ++round) {
    std::map<std::string, std::string> wanted;
    for (auto left = random() % 5; left > 0; --left) wanted.emplace(piece(), piece());
    std::string content = json(wanted).dump(-1, ' ', random() % 2 == 0);
    const auto read = fields_of(content);
    ASSERT_TRUE(read) << content;
    ASSERT_EQ((std::map<std::string, std::string>(read->begin(), read->end())), wanted) << content;
    content[random() % content.size()] = "\"\\{}:, 0u\x01\xc3"[random() % 11];
    const auto other = json::parse(content, nullptr, false);
    const bool is_hash = other.is_object() &&
                         std::all_of(other.begin(), other.end(), [](const json& value) { return value.is_string(); });
    ASSERT_EQ(fields_of(content).has_value(), is_hash) << content;
  }
}

}  // namespace
}  // namespace anabranch
