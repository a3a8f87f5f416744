#include "sidecar/index/search_reader.hpp"

#include <gtest/gtest.h>

namespace anabranch {
namespace {

using nlohmann::json;

TEST(SearchReader, ReadsWhatAHitHas) {
  const auto hits = read_hits(json::parse(R"({"hits":{"hits":[
      {"_id":"1","_version":6755399441056744,"sort":[7],"fields":{"anabranch.key":["{\"id\": 1}"],
       "anabranch.digest":["d"],"anabranch.version":[6755399441056743]}},
      {"_id":"2","_version":3,"fields":{"anabranch.deleted":[true],"anabranch.key":["k"]}},
      {"_id":"3"}]}})"));
  ASSERT_EQ(hits.size(), 3U);
  EXPECT_EQ(hits[0].id, "1");
  EXPECT_EQ(hits[0].version, 6755399441056744U) << "to the last digit";
  EXPECT_EQ(hits[0].own_version, 6755399441056743U);
  EXPECT_EQ(hits[0].number, 7);
  EXPECT_EQ(hits[0].key, R"({"id": 1})");
  EXPECT_EQ(hits[0].digest, "d");
  EXPECT_FALSE(hits[0].deleted);
  EXPECT_TRUE(hits[1].deleted);
  EXPECT_EQ(hits[1].number, std::nullopt);
  EXPECT_EQ(hits[2].version, std::nullopt);
  EXPECT_EQ(hits[2].own_version, std::nullopt);
  EXPECT_EQ(hits[2].key, "");
}

TEST(SearchReader, SurvivesWhatIsNoHit) {
  for (const char* answer :
       {"null", "[]", "{}", R"({"hits":[]})", R"({"hits":{"hits":{}}})", R"({"hits":{"hits":[1,"_id",[]]}})"})
    EXPECT_TRUE(read_hits(json::parse(answer)).empty()) << answer;
  const auto hits = read_hits(json::parse(R"({"hits":{"hits":[{"_id":"1","_version":-1,"sort":["x"],"fields":{
      "anabranch.key":[5],"anabranch.digest":"d","anabranch.version":[1.5],"anabranch.deleted":["true"]}},
      {"_id":"2","sort":[],"fields":[]},{},{"_id":5}]}})"));
  ASSERT_EQ(hits.size(), 4U);
  EXPECT_EQ(hits[2].id + hits[3].id, "") << "nobody asked for it";
  for (const SearchHit& hit : hits) {
    EXPECT_EQ(hit.version, std::nullopt);
    EXPECT_EQ(hit.number, std::nullopt);
    EXPECT_EQ(hit.own_version, std::nullopt);
    EXPECT_EQ(hit.key + hit.digest, "");
    EXPECT_FALSE(hit.deleted);
  }
}

}  // namespace
}  // namespace anabranch
