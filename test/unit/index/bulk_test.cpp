#include "sidecar/index/bulk.hpp"

#include <sstream>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "sidecar/index/engine_reason.hpp"

#include "sidecar/index/search_mark.hpp"

namespace anabranch {
namespace {

using nlohmann::json;
using Fate = BulkItemResult::Fate;

struct Item {
  json action, document;
};

Item built(const Document& document, IndexVersion version = 7) {
  std::string body;
  append_bulk_item(body, document, version);
  std::istringstream lines(body);
  std::string action, content, more;
  std::getline(lines, action);
  std::getline(lines, content);
  EXPECT_FALSE(std::getline(lines, more)) << "an item has two lines";
  EXPECT_TRUE(body.ends_with('\n'));
  return {json::parse(action), json::parse(content)};
}

Document document_of(std::string_view content) {
  return {.key = R"({"id": 1})", .id = "1", .target = {}, .member = {}, .content = content, .digest = "d1"};
}

TEST(Bulk, AnItemCarriesItsVersionAndOurOwnField) {
  const auto [action, document] = built(document_of(R"({"id": 1, "t": "x"})"), INT64_MAX);
  EXPECT_EQ(action,
            json::parse(R"({"index":{"_id":"1","version":9223372036854775807,"version_type":"external_gte"}})"));
  EXPECT_EQ(document, json::parse(R"({"id":1,"t":"x","anabranch":{"mark":"f/////////8CZDF7ImlkIjogMX0="}})"));
}

TEST(Bulk, ADeletionIsATombstone) {
  auto gone = document_of("");
  gone.content.reset();
  const auto [action, document] = built(gone);
  EXPECT_EQ(action, json::parse(R"({"index":{"_id":"1","version":7,"version_type":"external_gte"}})"));
  EXPECT_EQ(document, json::parse(R"({"anabranch":{"mark":"AAAAAAAAAAcAeyJpZCI6IDF9","deleted":7}})"));
}

TEST(Bulk, ContentIsCopiedWhateverItIs) {
  for (const char* content :
       {"{}", "{ }", "{\n}", "  {  } ", R"({"a":"}"})", "{\"a\":1}\n", "{\n \"a\": 1,\n \"b\": {}\n}",
        R"({"a":"\n\u0000\"","b":[{"c":{}}]})", "{\"\xc3\xa4\":\"\xf0\x9f\x98\x80\"}"}) {
    auto expected = json::parse(content);
    auto [action, document] = built(document_of(content));
    EXPECT_EQ(read_mark(document["anabranch"]["mark"].get<std::string>())->digest, "d1") << content;
    document.erase("anabranch");
    EXPECT_EQ(document, expected) << content;
  }
  std::string body;
  append_bulk_item(body, document_of(R"({"n": 1234567890123456789012345678901234567890.50, "n": 1e400})"), 7);
  EXPECT_THAT(body, testing::HasSubstr(R"({"n": 1234567890123456789012345678901234567890.50, "n": 1e400,"anabranch")"))
      << "digits are nobody's business";
}

TEST(Bulk, IdentifiersAreEscaped) {
  auto document = document_of("{}");
  const std::string id("a\"\\\n\0\x1f\xc3\xa4", 8);
  document.id = id;
  document.key = "{\"k\": \"\\\"\"}";
  const auto item = built(document);
  EXPECT_EQ(item.action["index"]["_id"], id);
  EXPECT_EQ(read_mark(item.document["anabranch"]["mark"].get<std::string>())->key, document.key);
}

std::string answer_of(const std::vector<std::string>& items) {
  std::string answer = R"({"errors":true,"items":[)";
  for (const auto& item : items) answer += (answer.back() == '[' ? "" : ",") + (R"({"index":)" + item + "}");
  return answer + "]}";
}

std::string failed(int status, const std::string& type, const std::string& reason = "why") {
  return json{{"status", status}, {"error", {{"type", type}, {"reason", reason}}}}.dump();
}

TEST(Bulk, EachItemHasItsFate) {
  const std::vector<std::pair<std::string, Fate>> items{
      {R"({"status":200})", Fate::done},
      {R"({"status":201})", Fate::done},
      {failed(409, "version_conflict_engine_exception"), Fate::done},
      {failed(429, "es_rejected_execution_exception"), Fate::retry},
      {failed(503, "unavailable_shards_exception"), Fate::retry},
      {failed(500, "exception"), Fate::retry},
      {failed(400, "mapper_parsing_exception"), Fate::refused},
      {failed(404, "index_not_found_exception"), Fate::missing},
      {failed(403, "cluster_block_exception"), Fate::blocked},
      {failed(429, "cluster_block_exception"), Fate::blocked},
      {failed(400, "index_closed_exception"), Fate::blocked},
      {failed(403, "security_exception"), Fate::denied},
      {R"({"status":413})", Fate::refused},
  };
  std::vector<std::string> texts;
  for (const auto& [text, fate] : items) texts.push_back(text);
  const auto results = read_bulk_answer(answer_of(texts), texts.size());
  ASSERT_EQ(results.size(), items.size());
  for (std::size_t i = 0; i < items.size(); ++i) {
    EXPECT_EQ(results[i].fate, items[i].second) << items[i].first;
    EXPECT_EQ(results[i].reason.empty(), results[i].fate == Fate::done) << items[i].first;
  }
  EXPECT_EQ(results[6].reason, "mapper_parsing_exception: why");
  EXPECT_EQ(results.back().reason, "status 413");
}

TEST(Bulk, AnAnswerThatIsNoneIsNotBelieved) {
  const auto incomprehensible = [](std::string_view answer, std::size_t items) {
    try {
      read_bulk_answer(answer, items);
      return false;
    } catch (const IndexError& error) {
      return error.kind() == IndexError::Kind::unreachable;
    }
  };
  const auto good = answer_of({R"({"status":200})"});
  EXPECT_FALSE(incomprehensible(good, 1));
  EXPECT_TRUE(incomprehensible(good, 2)) << "an item is missing";
  EXPECT_TRUE(incomprehensible(good, 0));
  for (const char* answer :
       {"", "[]", "{}", "null", "<html>", R"({"items":{}})", R"({"items":[1]})", R"({"items":[{}]})",
        R"({"items":[{"index":{}}]})", R"({"items":[{"index":{"status":"200"}}]})",
        R"({"items":[{"index":{"status":-1}}]})", R"({"items":[{"index":{"status":302}}]})",
        R"({"items":[{"index":{"status":99999999999}}]})", R"({"items":[{"delete":{"status":200}}]})",
        "{\"items\":[{\"index\":{\"status\":200}}]", "\xff\xfe"})
    EXPECT_TRUE(incomprehensible(answer, 1)) << answer;
  for (std::size_t size = 0; size < good.size(); ++size) EXPECT_TRUE(incomprehensible(good.substr(0, size), 1)) << size;
}

TEST(EngineReason, IsOneLineOfBoundedLength) {
  const auto reason = engine_reason(
      json{{"type", "x"}, {"reason", "a\nb\tc" + std::string(700, 'd')}, {"caused_by", {{"reason", "never seen"}}}});
  EXPECT_EQ(reason.type, "x");
  EXPECT_TRUE(reason.text.starts_with("x: a b cddd"));
  EXPECT_TRUE(reason.text.ends_with("d..."));
  EXPECT_EQ(reason.text.size(), 603U);
  EXPECT_EQ(engine_reason(json{{"type", "x"}, {"reason", "y"}, {"caused_by", {{"reason", "z"}}}}).text, "x: y: z");
  EXPECT_EQ(engine_reason(json("plain")).text, "plain");
  EXPECT_EQ(engine_reason(json(5)).text, "");
  EXPECT_EQ(one_line("\xc3\xa4\xc3\xa4", 3), "\xc3\xa4...") << "not inside of a character";
  EXPECT_EQ(one_line("\xc3"), "(no text)");
}

TEST(EngineReason, IsFoundInAnyAnswer) {
  EXPECT_EQ(reason_in(R"({"error":{"type":"x","reason":"y"},"status":400})").text, "x: y");
  EXPECT_EQ(reason_in(R"({"error":"alias [x] missing","status":404})").text, "alias [x] missing");
  EXPECT_EQ(reason_in("<html>\r\nBad Gateway").text, "<html>  Bad Gateway");
  EXPECT_EQ(reason_in("").text, "");
}

}  // namespace
}  // namespace anabranch
