// Which write wins in an index in Redis, against a real server: the later version, whatever the order of arrival, also
// over what was deleted; and the later generation. The order of writes is drawn at random, from ANABRANCH_SEED where
// that is set.
#include "sidecar/index/redis_index.hpp"

#include <algorithm>
#include <cstdlib>
#include <deque>
#include <functional>
#include <map>
#include <random>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "test/unit/index/redis_index_fixture.hpp"

namespace anabranch {
namespace {

using nlohmann::json;
using test::definition_of;
using test::documents_key;
using test::failure;
using test::member_document;
using test::string_document;
using test::token;
using test::tombstones_key;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

class DatabaseRedisIndexVersions : public test::RedisIndexTest {};

// Whatever the order in which batches come, at last there is what the latest version of each document says.
TEST_F(DatabaseRedisIndexVersions, ConvergesInAnyOrder) {
  const char* given = std::getenv("ANABRANCH_SEED");
  const uint64_t seed = given != nullptr ? std::strtoull(given, nullptr, 10) : std::random_device()();
  SCOPED_TRACE("ANABRANCH_SEED=" + std::to_string(seed));
  std::mt19937_64 random(seed);
  const std::map<std::string, std::function<std::string(uint64_t)>> contents = {
      {"json",
       [](uint64_t n) {
         return json({{"n", n}}).dump();
       }},
      {"hash",
       [](uint64_t n) {
         return json({{"n", std::to_string(n)}, {n % 2 == 0 ? "even" : "odd", ""}}).dump();
       }},
      {"sorted_set", [](uint64_t n) { return std::to_string(n); }},
      {"set", [](uint64_t) { return std::string(); }}};
  for (const auto& kind : contents) {
    // No structured binding: a lambda below captures them.
    const auto& shape = kind.first;
    const auto& content_of = kind.second;
    SCOPED_TRACE(shape);
    const auto index = opened({{"shape", shape}, {"index", shape}});
    struct Batch {
      IndexVersion version;
      std::map<int, std::optional<std::string>> contents;  // by the number of the document
    };
    std::vector<Batch> batches;
    std::map<int, std::optional<std::string>> latest;
    for (IndexVersion version = 1; version <= 60; ++version) {
      auto& batch = batches.emplace_back(Batch{version, {}});
      for (int i = 0; i < 8; ++i) {
        const auto number = static_cast<int>(random() % 20);
        batch.contents[number] = random() % 3 == 0 ? std::nullopt : std::optional(content_of(random() % 1'000));
      }
      for (const auto& [number, content] : batch.contents) latest[number] = content;
    }
    for (const auto& batch : std::vector(batches))
      if (random() % 4 == 0) batches.push_back(batch);  // comes again
    std::shuffle(batches.begin(), batches.end(), random);

    std::map<int, std::string> targets;
    for (int i = 0; i < 20; ++i) targets[i] = shape + std::to_string(i / (shape.ends_with("set") ? 5 : 1));
    const auto document_of = [&](int number, const std::optional<std::string>& content) {
      static const std::string members = "abcdefghijklmnopqrst";
      return member_document(targets.at(number),
                             shape.ends_with("set") ? std::string_view(members).substr(number, 1) : std::string_view(),
                             content ? std::optional<std::string_view>(*content) : std::nullopt);
    };
    for (const auto& batch : batches) {
      std::vector<Document> documents;
      for (const auto& [number, content] : batch.contents) documents.push_back(document_of(number, content));
      ASSERT_THAT(reasons(write(*index, documents, batch.version)), IsEmpty());
    }
    std::size_t present = 0;
    for (const auto& [number, content] : latest) {
      const auto found = inspected(*index, document_of(number, content));
      EXPECT_EQ(found.present, content.has_value()) << number;
      EXPECT_TRUE(found.equal) << number;
      EXPECT_FALSE(found.foreign) << number;
      if (content) ++present;
    }
    EXPECT_EQ(held(*index).size(), present);
    EXPECT_EQ(opened({{"shape", shape}, {"index", shape}})->open(token).version, 60U);
  }
}

TEST_F(DatabaseRedisIndexVersions, AnEqualVersionRepairs) {
  const auto index = opened();
  write(*index, {string_document("a", "1")}, 10);
  ask({"SET", "a", "2"});
  EXPECT_FALSE(inspected(*index, string_document("a", "1")).equal);
  write(*index, {string_document("a", "0")}, 9);
  EXPECT_EQ(text({"GET", "a"}), "2");
  write(*index, {string_document("a", "1")}, 10);
  EXPECT_EQ(text({"GET", "a"}), "1");
}

TEST_F(DatabaseRedisIndexVersions, NothingToWriteRaisesTheVersion) {
  const auto index = opened();
  EXPECT_THAT(write(*index, {}, 10), IsEmpty());
  EXPECT_THAT(write(*index, {}, 9), IsEmpty());
  EXPECT_EQ(index->open(token).version, 10U);
  EXPECT_THAT(index->inspect({}), IsEmpty());
  EXPECT_THAT(held(*index), IsEmpty());
}

TEST_F(DatabaseRedisIndexVersions, TombstonesRefuseOlderWritesForAnHour) {
  const auto index = opened();
  write(*index, {string_document("a", std::nullopt), string_document("b", std::nullopt)}, 10);
  write(*index, {string_document("a", "1"), string_document("b", "1")}, 9);
  EXPECT_EQ(number({"EXISTS", "a", "b"}), 0);
  write(*index, {string_document("b", "1")}, 11);
  EXPECT_EQ(text({"GET", "b"}), "1");

  EXPECT_EQ(number({"ZCARD", tombstones_key}), 2);
  const auto now = std::stoll(list({"TIME"}).at(0));
  EXPECT_NEAR(std::stod(text({"ZSCORE", tombstones_key, "a"})), static_cast<double>(now), 60);
  for (const char* identity : {"a", "b"}) ask({"ZADD", tombstones_key, std::to_string(now - 3'500), identity});
  write(*index, {}, 12);
  EXPECT_EQ(number({"ZCARD", tombstones_key}), 2);
  for (const char* identity : {"a", "b"}) ask({"ZADD", tombstones_key, std::to_string(now - 3'700), identity});
  write(*index, {}, 12);
  EXPECT_EQ(number({"ZCARD", tombstones_key}), 0);
  EXPECT_THAT(list({"HKEYS", documents_key}), ElementsAre("b")) << "it has come back since";
}

TEST_F(DatabaseRedisIndexVersions, ManyTombstonesArePurgedInSteps) {
  const auto index = opened();
  std::deque<std::string> targets;
  std::vector<Document> documents;
  for (int i = 0; i < 500; ++i)
    documents.push_back(string_document(targets.emplace_back("t" + std::to_string(i)), std::nullopt));
  write(*index, documents, 1);
  for (const auto& target : targets) ask({"ZADD", tombstones_key, "1", target});
  write(*index, {}, 1);
  EXPECT_EQ(number({"ZCARD", tombstones_key}), 400);
  EXPECT_EQ(number({"HLEN", documents_key}), 400);
  for (int i = 0; i < 4; ++i) write(*index, {}, 1);
  EXPECT_EQ(number({"EXISTS", tombstones_key, documents_key}), 0);
}

TEST_F(DatabaseRedisIndexVersions, ALaterGenerationWins) {
  const auto first = opened();
  write(*first, {string_document("a", "1"), string_document("b", "1")}, 100);
  const auto second = make(definition_of(json::object(), 2));
  EXPECT_EQ(second->open(token).version, 0U) << "nothing of it was written yet";
  EXPECT_EQ(inspected(*second, string_document("a", "1")).version, std::nullopt);
  write(*second, {string_document("a", "2")}, 50);
  EXPECT_EQ(text({"GET", "a"}), "2");
  EXPECT_EQ(second->open(token).version, 50U);
  EXPECT_THAT(failure([&] { write(*first, {string_document("a", "3")}, 200); }), HasSubstr("later generation"));
  EXPECT_EQ(text({"GET", "a"}), "2");
  EXPECT_THAT(failure([&] { first->open(token); }), AllOf(HasSubstr("refused: "), HasSubstr("later generation")));
  EXPECT_EQ(held(*second).size(), 2U) << "what it has not written is there to be found";
}

TEST_F(DatabaseRedisIndexVersions, AnotherShapeBeginsAnew) {
  const auto strings = make(definition_of(json::object()));
  const auto identity = strings->open(token).identity;
  write(*strings, {string_document("a", "1"), string_document("b", "1")}, 100);
  const auto sets = make(definition_of({{"shape", "set"}}, 2));
  EXPECT_NE(sets->open(token).identity, identity);
  EXPECT_EQ(number({"EXISTS", "a", "b"}), 0);
  EXPECT_THAT(write(*sets, {member_document("a", "m", "")}, 101), IsEmpty());
  EXPECT_THAT(held(*sets), ElementsAre(R"({"id": 1} a m)"));
}

}  // namespace
}  // namespace anabranch
