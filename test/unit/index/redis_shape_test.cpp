#include "sidecar/index/redis_shape.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace anabranch {
namespace {

using ::testing::HasSubstr;

Document document(std::optional<std::string_view> content) {
  return {.key = R"({"id": 1})", .id = "1", .target = "t:1", .member = "m", .content = content, .digest = {}};
}

// What is added to version "v", or the reason why nothing is.
std::string added(RedisShape shape, const Document& document) {
  RedisArguments arguments;
  const auto reason = add_document(shape, document, "v", redis_argument_bytes_max, arguments);
  EXPECT_EQ(reason.has_value(), arguments.count() == 0);
  return reason ? *reason : arguments.bytes();
}

std::string wire(std::initializer_list<std::string_view> arguments) {
  return RedisArguments(arguments).bytes();
}

TEST(RedisShape, HasTheNamesOfTheOption) {
  for (const auto shape : {RedisShape::json, RedisShape::hash, RedisShape::sorted_set, RedisShape::set})
    EXPECT_EQ(parse_redis_shape(name_of(shape)), shape);
  EXPECT_EQ(parse_redis_shape("sorted_set"), RedisShape::sorted_set);
  EXPECT_EQ(parse_redis_shape("list"), std::nullopt);
}

TEST(RedisShape, MakesArgumentsOfContents) {
  constexpr std::string_view live = R"(vd{"id": 1})", deleted = R"(v-{"id": 1})";
  EXPECT_EQ(added(RedisShape::json, document("{}")), wire({live, "{}"}));
  EXPECT_EQ(added(RedisShape::sorted_set, document("-1e3")), wire({live, "-1e3", "m"}));
  EXPECT_EQ(added(RedisShape::set, document("")), wire({live, "", "m"}));
  EXPECT_EQ(added(RedisShape::set, document(std::nullopt)), wire({deleted, "", "m"}));
  EXPECT_EQ(added(RedisShape::hash, document("{}")), wire({live, ""}));
  EXPECT_EQ(added(RedisShape::hash, document(std::nullopt)), wire({deleted, ""}));
}

TEST(RedisShape, AddsNothingThatIsTooLarge) {
  const std::string text(100, 'x'), hash = nlohmann::json({{"a", text}}).dump();
  RedisArguments arguments;
  EXPECT_EQ(add_document(RedisShape::json, document(text), "v", 100, arguments), std::nullopt);
  EXPECT_NE(add_document(RedisShape::json, document(text), "v", 99, arguments), std::nullopt);
  // Of a hash all is one argument, with the heads of its strings, or each of them is one.
  EXPECT_EQ(add_document(RedisShape::hash, document(hash), "v", 107, arguments), std::nullopt);
  EXPECT_NE(add_document(RedisShape::hash, document(hash), "v", 106, arguments), std::nullopt);
  EXPECT_EQ(add_fields(document(hash), 111, arguments), 1U);
  EXPECT_EQ(add_fields(document(hash), 110, arguments), std::nullopt);
}

TEST(RedisShape, PacksFieldsAndValues) {
  const auto packed = [](const nlohmann::json& content) {
    RedisArguments arguments;
    const auto text = content.dump();
    EXPECT_EQ(add_document(RedisShape::hash, document(text), "v", redis_argument_bytes_max, arguments), std::nullopt);
    const auto begin = arguments.bytes().find("\r\n", arguments.bytes().find("}\r\n") + 3) + 2;
    return arguments.bytes().substr(begin, arguments.bytes().size() - begin - 2);
  };
  for (const auto size : {0, 1, 31, 32, 255, 256, 65'535, 65'536, 1'000'000}) {
    const std::string value(static_cast<std::size_t>(size), 'x');
    const auto bytes = packed({{"a", value}});
    ASSERT_EQ(bytes.substr(0, 2),
              "\xa1"
              "a");
    EXPECT_EQ(nlohmann::json::from_msgpack(bytes.substr(2)), value) << size;
  }
  EXPECT_EQ(packed({{"b", std::string("\0\xc3\xbc", 3)}, {"a", ""}}), std::string("\xa1"
                                                                                  "a\xa0\xa1"
                                                                                  "b\xa3\0\xc3\xbc",
                                                                                  9));
}

TEST(RedisShape, RefusesWhatNoRedisTakes) {
  for (const char* content : {"", "{", "[]", "7", R"({"a": 1})", R"({"a": null})", R"({"a": {}})"})
    EXPECT_THAT(added(RedisShape::hash, document(content)), HasSubstr("no JSON object of strings")) << content;
  std::string many = "{";
  for (int i = 0; i < 1'665; ++i) many += (i == 0 ? "\"" : ", \"") + std::to_string(i) + R"(": "")";
  EXPECT_THAT(added(RedisShape::hash, document(many + "}")), HasSubstr("more than 1664"));
  auto nameless = document("{}");
  nameless.target = "";
  EXPECT_THAT(added(RedisShape::json, nameless), HasSubstr("key in Redis is empty"));
}

TEST(RedisShape, TakesIdentitiesApart) {
  const auto string = held_document(RedisShape::json, "a:b", "k").value();
  EXPECT_EQ(string.target, "a:b");
  EXPECT_EQ(string.id, "a:b");
  EXPECT_EQ(string.key, "k");
  const auto member = held_document(RedisShape::set, "3:a:bc:d", "k").value();
  EXPECT_EQ(member.target, "a:b");
  EXPECT_EQ(member.member, "c:d");
  EXPECT_EQ(member.id, "a:b\nc:d");
  EXPECT_EQ(held_document(RedisShape::sorted_set, "1:a", "k").value().member, "");
  for (const char* identity : {"", ":", "a", "x:a", "3:ab", "3", "99999999999999999999999:a"})
    EXPECT_FALSE(held_document(RedisShape::set, identity, "k")) << identity;
}

}  // namespace
}  // namespace anabranch
