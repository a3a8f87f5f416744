#include "sidecar/index/search_reader.hpp"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "sidecar/index/shown.hpp"
#include "test/unit/index/search_stub.hpp"

namespace anabranch {
namespace {

using nlohmann::json;
using test::HttpStub;

const std::string refreshed = HttpStub::answer(200, R"({"_shards":{"failed":0}})");

TEST(SearchReader, ReadsWhatAHitHas) {
  const auto hits = read_hits(json::parse(R"({"hits":{"hits":[
      {"_id":"1","_version":6755399441056744,"sort":[7],"fields":{"anabranch.mark":["AQIDBAUGBwgCZDF7ImlkIjogMX0"]}},
      {"_id":"2","_version":3,"fields":{"anabranch.deleted":[3],"anabranch.mark":["AAAAAAAAAAcAaw=="]}},
      {"_id":"3"}]}})"));
  ASSERT_EQ(hits.size(), 3U);
  EXPECT_EQ(hits[0].id, "1");
  EXPECT_EQ(hits[0].version, 6755399441056744U) << "to the last digit";
  EXPECT_EQ(hits[0].number, 7);
  ASSERT_TRUE(hits[0].mark);
  EXPECT_EQ(hits[0].mark->version, 0x0102030405060708U);
  EXPECT_EQ(hits[0].mark->key, R"({"id": 1})");
  EXPECT_EQ(hits[0].mark->digest, "d1");
  EXPECT_FALSE(hits[0].deleted);
  EXPECT_TRUE(hits[1].deleted);
  EXPECT_EQ(hits[1].number, std::nullopt);
  EXPECT_FALSE(hits[1].mark) << "no document of ours has such a key";
  EXPECT_EQ(hits[2].version, std::nullopt);
  EXPECT_FALSE(hits[2].mark || hits[2].deleted);
}

TEST(SearchReader, SurvivesWhatIsNoHit) {
  for (const char* answer :
       {"null", "[]", "{}", R"({"hits":[]})", R"({"hits":{"hits":{}}})", R"({"hits":{"hits":[1,"_id",[]]}})"})
    EXPECT_TRUE(read_hits(json::parse(answer)).empty()) << answer;
  const auto hits = read_hits(json::parse(R"({"hits":{"hits":[{"_id":"1","_version":-1,"sort":["x"],"fields":{
      "anabranch.mark":[5],"anabranch.deleted":["true"]}},
      {"_id":"2","sort":[],"fields":[]},{},{"_id":5}]}})"));
  ASSERT_EQ(hits.size(), 4U);
  EXPECT_EQ(hits[2].id + hits[3].id, "") << "nobody asked for it";
  for (const SearchHit& hit : hits) {
    EXPECT_EQ(hit.version, std::nullopt);
    EXPECT_EQ(hit.number, std::nullopt);
    EXPECT_FALSE(hit.mark || hit.deleted);
  }
}

// Another has written it: as large as it likes.
TEST(SearchReader, ShowsABoundedPartOfADocument) {
  const std::string large = fmt::format(R"({{"t":"{}"}})", std::string(1'000'000, 'x'));
  HttpStub stub(
      {test::opensearch_root, refreshed,
       HttpStub::answer(200, R"({"hits":{"hits":[{"_version":2,"fields":{"anabranch.mark":["AAAAAAAAAAEAe30"]}}]}})"),
       HttpStub::answer(200, large)});
  const Stop stop;
  SearchEngine engine(test::settings_for(stub), stop);
  engine.connect();
  Document expected;
  expected.key = expected.content.emplace("{}");
  expected.id = "1";
  const auto found = inspect_index(engine, "i", {&expected, 1});
  ASSERT_EQ(found.size(), 1U);
  EXPECT_TRUE(found[0].present && !found[0].equal);
  EXPECT_LE(found[0].actual.size(), actual_bytes_max);
  EXPECT_THAT(found[0].actual, testing::HasSubstr("xxx"));
}

// Somebody else's have none of ours; several of them must not pass for one.
TEST(SearchReader, TellsDocumentsWithoutOurKeyByTheirId) {
  const auto hits = [](const char* first, const char* second) {
    return HttpStub::answer(
        200, fmt::format(R"({{"hits":{{"hits":[{{{}"_version":1}},{{{}"_version":2}}]}}}})", first, second));
  };
  HttpStub stub({test::opensearch_root, refreshed, hits("", ""), hits(R"("_id":"b",)", R"("_id":"a",)"),
                 HttpStub::answer(200, R"({"of":"a"})"), HttpStub::answer(200, R"({"of":"b"})")});
  const Stop stop;
  SearchEngine engine(test::settings_for(stub), stop);
  engine.connect();
  std::vector<Document> gone(2);
  gone[0].id = "a";
  gone[1].id = "b";
  const auto found = inspect_index(engine, "i", gone);
  ASSERT_EQ(found.size(), 2U);
  EXPECT_EQ(found[0].version, 2U);
  EXPECT_EQ(found[1].version, 1U);
}

}  // namespace
}  // namespace anabranch
