// The writer of indexes in Redis, against a real server. Another client of the server looks at what it has written, and
// interferes. The order of writes is drawn at random, from ANABRANCH_SEED where that is set.
#include "sidecar/index/redis_index.hpp"

#include <algorithm>
#include <deque>
#include <functional>
#include <map>
#include <random>
#include <thread>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "test/unit/index/redis_server.hpp"

namespace anabranch {
namespace {

using Kind = IndexError::Kind;
using nlohmann::json;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::UnorderedElementsAre;

constexpr uint64_t token = 7;
constexpr std::string_view documents_key = "anabranch:copy:documents", tombstones_key = "anabranch:copy:tombstones",
                           checkpoint_key = "anabranch:copy:checkpoint";

Document string_document(std::string_view target, std::optional<std::string_view> content) {
  return {.key = R"({"id": 1})", .id = target, .target = target, .member = {}, .content = content, .digest = {}};
}
Document member_document(std::string_view target, std::string_view member, std::optional<std::string_view> content) {
  return {.key = R"({"id": 1})", .id = member, .target = target, .member = member, .content = content, .digest = {}};
}

// "KIND: what; remedy", or that nothing was thrown.
std::string failure(const std::function<void()>& work) {
  try {
    work();
  } catch (const IndexError& error) {
    const auto* const kind = error.kind() == Kind::unreachable ? "unreachable"
                             : error.kind() == Kind::busy      ? "busy"
                                                               : "refused";
    return std::string(kind) + ": " + error.what() + "; " + error.remedy();
  }
  return "nothing was thrown";
}

IndexDefinition definition_of(json options, int64_t generation = 1) {
  IndexDefinition definition;
  definition.name = "copy";
  definition.owner = "7/shop";
  definition.generation = generation;
  definition.options = std::move(options);
  return definition;
}

TEST(RedisIndex, RefusesOptionsItDoesNotUnderstand) {
  const Stop stop;
  IndexSettings settings;
  settings.urls = {"redis://127.0.0.1:1"};
  const auto refusal = [&](const json& options) {
    return failure([&] { make_redis_index(settings, definition_of(options), stop); });
  };
  EXPECT_THAT(refusal({{"shape", "list"}}),
              AllOf(HasSubstr("refused: "), HasSubstr("\"list\""), HasSubstr("sorted_set")));
  EXPECT_THAT(refusal({{"shape", 1}}), HasSubstr("refused: "));
  for (const json& ttl : {json(0), json(-1), json("60"), json(1.5), json(int64_t{1} << 40)})
    EXPECT_THAT(refusal({{"ttl", ttl}}), HasSubstr("refused: ")) << ttl;
  EXPECT_THAT(refusal({{"slot", "a}b"}}), HasSubstr("refused: "));
  EXPECT_EQ(refusal({{"shape", "hash"}, {"ttl", 60}, {"slot", "a"}, {"index", "b"}, {"unheard", "of"}}),
            "nothing was thrown");
  settings.urls.clear();
  EXPECT_THAT(refusal({}), HasSubstr("refused: "));
}

TEST(RedisIndex, IsUnreachableBeforeItIsOpened) {
  const Stop stop;
  IndexSettings settings;
  settings.urls = {"redis://127.0.0.1:1"};
  const auto index = make_redis_index(settings, definition_of(json::object()), stop);
  EXPECT_THAT(failure([&] { index->write({}, 1); }), HasSubstr("unreachable: "));
  EXPECT_THAT(failure([&] { index->open(token); }), HasSubstr("unreachable: "));
}

class DatabaseRedisIndex : public test::RedisTest {
 protected:
  std::unique_ptr<ExternalIndex> make(IndexDefinition definition) {
    if (settings_.urls.empty()) settings_.urls = {url_};
    return make_redis_index(settings_, std::move(definition), stop_);
  }
  std::unique_ptr<ExternalIndex> opened(json options = json::object(), int64_t generation = 1) {
    auto index = make(definition_of(std::move(options), generation));
    index->open(token);
    return index;
  }
  // All that a scan gives: "KEY TARGET MEMBER", each document once.
  static std::vector<std::string> held(ExternalIndex& index) {
    std::map<std::string, std::string> found;
    std::string after;
    do {
      const auto page = index.scan(after);
      for (const auto& document : page.documents)
        found[document.id] = document.key + " " + document.target + " " + document.member;
      after = page.next;
    } while (!after.empty());
    std::vector<std::string> texts;
    for (const auto& [id, text] : found) texts.push_back(text);
    return texts;
  }
  static FoundDocument inspected(ExternalIndex& index, const Document& expected) {
    const auto found = index.inspect({&expected, 1});
    EXPECT_EQ(found.size(), 1U);
    return found.at(0);
  }
  static std::vector<RefusedDocument> write(ExternalIndex& index, const std::vector<Document>& documents,
                                            IndexVersion version) {
    return index.write(documents, version);
  }
  static std::vector<std::string> reasons(const std::vector<RefusedDocument>& refused) {
    std::vector<std::string> texts;
    for (const auto& document : refused) texts.push_back(std::to_string(document.place) + ": " + document.reason);
    return texts;
  }

  IndexSettings settings_ = [] {
    IndexSettings settings;
    settings.kind = IndexSettings::Kind::redis;
    return settings;
  }();
};

TEST_F(DatabaseRedisIndex, HoldsStrings) {
  const auto index = opened();
  EXPECT_THAT(write(*index, {string_document("a", R"({"n": 1})"), string_document("b", R"({"n": 2})")}, 10), IsEmpty());
  EXPECT_EQ(text({"GET", "a"}), R"({"n": 1})");
  EXPECT_THAT(held(*index), ElementsAre(R"({"id": 1} a )", R"({"id": 1} b )"));
  const auto found = inspected(*index, string_document("a", R"({"n": 1})"));
  EXPECT_TRUE(found.present && found.equal && !found.foreign);
  EXPECT_EQ(found.version, 10U);
  EXPECT_EQ(found.actual, R"({"n": 1})");

  EXPECT_THAT(write(*index, {string_document("a", std::nullopt)}, 11), IsEmpty());
  EXPECT_EQ(number({"EXISTS", "a"}), 0);
  EXPECT_THAT(held(*index), ElementsAre(R"({"id": 1} b )"));
  const auto gone = inspected(*index, string_document("a", std::nullopt));
  EXPECT_TRUE(!gone.present && gone.equal && !gone.foreign);
  EXPECT_EQ(gone.version, 11U);
}

TEST_F(DatabaseRedisIndex, HoldsHashesWithoutWhatIsNull) {
  const auto index = opened({{"shape", "hash"}});
  EXPECT_THAT(write(*index, {string_document("a", R"({"x": "1", "y": ""})")}, 10), IsEmpty());
  EXPECT_THAT(list({"HGETALL", "a"}), UnorderedElementsAre("x", "1", "y", ""));
  EXPECT_THAT(write(*index, {string_document("a", R"({"y": "2", "z": "3"})")}, 11), IsEmpty());
  EXPECT_THAT(list({"HGETALL", "a"}), UnorderedElementsAre("y", "2", "z", "3"));
  EXPECT_TRUE(inspected(*index, string_document("a", R"({"z": "3", "y": "2"})")).equal) << "in any order";
  const auto other = inspected(*index, string_document("a", R"({"y": "2"})"));
  EXPECT_TRUE(other.present && !other.equal && !other.foreign);
  EXPECT_EQ(json::parse(other.actual), json::parse(R"({"y": "2", "z": "3"})"));

  // Nothing but NULL: Redis has no such hash.
  EXPECT_THAT(write(*index, {string_document("a", "{}")}, 12), IsEmpty());
  EXPECT_EQ(number({"EXISTS", "a"}), 0);
  EXPECT_TRUE(inspected(*index, string_document("a", "{}")).equal);
  EXPECT_THAT(held(*index), ElementsAre(R"({"id": 1} a )"));
  EXPECT_THAT(write(*index, {string_document("a", std::nullopt)}, 13), IsEmpty());
  EXPECT_THAT(held(*index), IsEmpty());
}

TEST_F(DatabaseRedisIndex, HoldsSortedSets) {
  const auto index = opened({{"shape", "sorted_set"}});
  EXPECT_THAT(write(*index,
                    {member_document("top", "ann", "1.5"), member_document("top", "bob", "-Infinity"),
                     member_document("top", "cid", "100000000000000000000"), member_document("low", "ann", "0.1")},
                    10),
              IsEmpty());
  EXPECT_THAT(list({"ZRANGE", "top", "0", "-1"}), ElementsAre("bob", "ann", "cid"));
  EXPECT_TRUE(inspected(*index, member_document("top", "ann", "1.50")).equal) << "equal as numbers";
  EXPECT_TRUE(inspected(*index, member_document("top", "bob", "-Infinity")).equal);
  EXPECT_TRUE(inspected(*index, member_document("top", "cid", "1e20")).equal);
  EXPECT_TRUE(inspected(*index, member_document("low", "ann", "0.1")).equal);
  const auto other = inspected(*index, member_document("top", "ann", "2"));
  EXPECT_TRUE(other.present && !other.equal);
  EXPECT_EQ(other.actual, "1.5");
  EXPECT_FALSE(inspected(*index, member_document("top", "dan", "2")).present);
  EXPECT_THAT(held(*index), UnorderedElementsAre(R"({"id": 1} low ann)", R"({"id": 1} top ann)", R"({"id": 1} top bob)",
                                                 R"({"id": 1} top cid)"));

  EXPECT_THAT(write(*index, {member_document("top", "ann", "3"), member_document("low", "ann", std::nullopt)}, 11),
              IsEmpty());
  EXPECT_EQ(text({"ZSCORE", "top", "ann"}), "3");
  EXPECT_EQ(number({"EXISTS", "low"}), 0) << "empty";
}

TEST_F(DatabaseRedisIndex, HoldsSets) {
  const auto index = opened({{"shape", "set"}});
  EXPECT_THAT(write(*index, {member_document("tags", "red", ""), member_document("tags", "blue", "")}, 10), IsEmpty());
  EXPECT_THAT(list({"SMEMBERS", "tags"}), UnorderedElementsAre("red", "blue"));
  EXPECT_TRUE(inspected(*index, member_document("tags", "red", "")).equal);
  EXPECT_THAT(write(*index, {member_document("tags", "red", std::nullopt)}, 11), IsEmpty());
  EXPECT_THAT(list({"SMEMBERS", "tags"}), ElementsAre("blue"));
  EXPECT_FALSE(inspected(*index, member_document("tags", "red", "")).present);
  EXPECT_TRUE(inspected(*index, member_document("tags", "red", std::nullopt)).equal);
}

// Whatever the order in which batches come, at last there is what the latest version of each document says.
TEST_F(DatabaseRedisIndex, ConvergesInAnyOrder) {
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

TEST_F(DatabaseRedisIndex, WritesManyBatchesAtOnce) {
  settings_.bulk_bytes_max = 2'000;
  settings_.in_flight_max = 3;
  const auto index = opened();
  std::deque<std::string> texts;
  std::vector<Document> documents;
  for (int i = 0; i < 3'000; ++i) {
    const auto& target = texts.emplace_back("t" + std::to_string(i));
    documents.push_back(string_document(i % 1'000 == 999 ? "" : std::string_view(target), target));
  }
  ask({"LPUSH", "t2500", "x"});
  EXPECT_THAT(reasons(write(*index, documents, 1)),
              UnorderedElementsAre(HasSubstr("999: its key in Redis is empty"), HasSubstr("1999: "),
                                   HasSubstr("2999: "), "2500: the key holds a value of another type"));
  EXPECT_EQ(number({"HLEN", documents_key}), 2'996);
  EXPECT_EQ(held(*index).size(), 2'996U);
  std::erase_if(documents, [](const auto& document) { return document.target.empty(); });
  const auto found = index->inspect(documents);
  ASSERT_EQ(found.size(), documents.size());
  EXPECT_EQ(std::count_if(found.begin(), found.end(), [](const auto& one) { return one.equal; }), 2'996);
}

TEST_F(DatabaseRedisIndex, AnEqualVersionRepairs) {
  const auto index = opened();
  write(*index, {string_document("a", "1")}, 10);
  ask({"SET", "a", "2"});
  EXPECT_FALSE(inspected(*index, string_document("a", "1")).equal);
  write(*index, {string_document("a", "0")}, 9);
  EXPECT_EQ(text({"GET", "a"}), "2");
  write(*index, {string_document("a", "1")}, 10);
  EXPECT_EQ(text({"GET", "a"}), "1");
}

TEST_F(DatabaseRedisIndex, TombstonesRefuseOlderWritesForAnHour) {
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

TEST_F(DatabaseRedisIndex, ManyTombstonesArePurgedInSteps) {
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

TEST_F(DatabaseRedisIndex, AHigherTokenFences) {
  const auto older = make(definition_of(json::object())), newer = make(definition_of(json::object()));
  const auto identity = older->open(7).identity;
  write(*older, {string_document("a", "1")}, 1);
  EXPECT_EQ(newer->open(8).identity, identity);
  EXPECT_THAT(failure([&] { write(*older, {string_document("a", "2")}, 2); }),
              AllOf(HasSubstr("refused: "), HasSubstr("another sidecar has taken over")));
  EXPECT_THAT(failure([&] { older->open(7); }), HasSubstr("another sidecar has taken over"));
  EXPECT_EQ(text({"GET", "a"}), "1");
  write(*newer, {string_document("a", "3")}, 2);
  EXPECT_EQ(text({"GET", "a"}), "3");
  EXPECT_EQ(newer->open(UINT64_MAX).version, 2U);
}

TEST_F(DatabaseRedisIndex, BelongsToOneDatabase) {
  opened();
  auto definition = definition_of(json::object());
  definition.owner = "8/shop";
  EXPECT_THAT(failure([&] { make(definition)->open(token); }),
              AllOf(HasSubstr("refused: "), HasSubstr("belongs to another database"), HasSubstr("option index")));
  make(definition)->drop();
  EXPECT_EQ(number({"EXISTS", checkpoint_key}), 1);
  definition.options = {{"index", "mine"}};
  EXPECT_EQ(make(definition)->open(token).version, 0U);
  EXPECT_EQ(number({"EXISTS", "anabranch:mine:checkpoint"}), 1);
}

TEST_F(DatabaseRedisIndex, TellsThatItIsNotTheSameAnyMore) {
  const auto index = make(definition_of(json::object()));
  const auto first = index->open(token);
  EXPECT_EQ(first.identity.size(), 32U);
  EXPECT_EQ(first.version, 0U);
  write(*index, {string_document("a", "1")}, 10);
  EXPECT_EQ(index->open(token).identity, first.identity);
  EXPECT_EQ(index->open(token).version, 10U);

  ask({"FLUSHALL"});
  EXPECT_THAT(failure([&] { write(*index, {string_document("a", "2")}, 11); }),
              AllOf(HasSubstr("unreachable: "), HasSubstr("not the one that was opened")));
  EXPECT_EQ(number({"EXISTS", "a", documents_key}), 0);
  const auto second = index->open(token);
  EXPECT_NE(second.identity, first.identity);
  EXPECT_EQ(second.version, 0U);
  write(*index, {string_document("a", "2")}, 11);
}

TEST_F(DatabaseRedisIndex, ForgetsWhatAnEvictedCheckpointLeft) {
  const auto index = opened();
  write(*index, {string_document("a", "1")}, 10);
  ask({"DEL", checkpoint_key});
  index->open(token);
  write(*index, {string_document("a", "2")}, 9);
  EXPECT_EQ(text({"GET", "a"}), "2");
}

TEST_F(DatabaseRedisIndex, LoadsItsFunctionsAgain) {
  const auto index = opened();
  ask({"FUNCTION", "FLUSH"});
  EXPECT_THAT(failure([&] { write(*index, {}, 1); }), HasSubstr("unreachable: "));
  index->open(token);
  write(*index, {}, 1);
  ask({"FUNCTION", "LOAD", "REPLACE", "#!lua name=anabranch_1\nredis.register_function('other', function() end)"});
  index->open(token);
  write(*index, {}, 1);
}

TEST_F(DatabaseRedisIndex, ALaterGenerationWins) {
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

TEST_F(DatabaseRedisIndex, AnotherShapeBeginsAnew) {
  const auto strings = make(definition_of(json::object()));
  const auto identity = strings->open(token).identity;
  write(*strings, {string_document("a", "1"), string_document("b", "1")}, 100);
  const auto sets = make(definition_of({{"shape", "set"}}, 2));
  EXPECT_NE(sets->open(token).identity, identity);
  EXPECT_EQ(number({"EXISTS", "a", "b"}), 0);
  EXPECT_THAT(write(*sets, {member_document("a", "m", "")}, 101), IsEmpty());
  EXPECT_THAT(held(*sets), ElementsAre(R"({"id": 1} a m)"));
}

TEST_F(DatabaseRedisIndex, FindsWhatOthersHaveDone) {
  const auto index = opened();
  write(*index,
        {string_document("changed", "1"), string_document("removed", "1"), string_document("deleted", std::nullopt)},
        10);
  ask({"SET", "changed", "2"});
  ask({"DEL", "removed"});
  ask({"SET", "deleted", "3"});
  ask({"SET", "unknown", "not JSON \xff"});
  ask({"LPUSH", "list", "x"});

  const auto changed = inspected(*index, string_document("changed", "1"));
  EXPECT_TRUE(changed.present && !changed.equal);
  EXPECT_EQ(changed.actual, "2");
  EXPECT_FALSE(inspected(*index, string_document("removed", "1")).present);
  const auto deleted = inspected(*index, string_document("deleted", std::nullopt));
  EXPECT_TRUE(deleted.present && !deleted.equal && deleted.foreign);
  const auto unknown = inspected(*index, string_document("unknown", std::nullopt));
  EXPECT_TRUE(unknown.present && unknown.foreign);
  EXPECT_EQ(unknown.version, std::nullopt);
  EXPECT_EQ(unknown.actual, "\"not JSON \xef\xbf\xbd\"");
  const auto list = inspected(*index, string_document("list", "1"));
  EXPECT_TRUE(list.present && !list.equal && list.foreign);

  ask({"SET", "changed", "1" + std::string(20'000, ' ')});
  const auto longer = inspected(*index, string_document("changed", "1"));
  EXPECT_FALSE(longer.equal);
  EXPECT_LE(longer.actual.size(), 10'000U);
  EXPECT_TRUE(json::accept(longer.actual));
}

TEST_F(DatabaseRedisIndex, RefusesOnlyWhatRedisDoesNotTake) {
  for (const char* shape : {"json", "hash", "sorted_set", "set"}) {
    SCOPED_TRACE(shape);
    const bool has_members = std::string_view(shape).ends_with("set");
    const auto* const content = std::string_view(shape) == "hash" ? R"({"x": "1"})" : "1";
    const auto index = opened({{"shape", shape}, {"index", shape}});
    ask({"DEL", "other", "ours", "gone"});
    ask({"LPUSH", "other", "x"});
    ask({"LPUSH", "gone", "x"});
    const auto* const member = has_members ? "m" : "";
    EXPECT_THAT(reasons(write(*index,
                              {member_document("other", member, content), member_document("ours", member, content),
                               member_document("gone", member, std::nullopt)},
                              10)),
                ElementsAre("0: the key holds a value of another type", "2: the key holds a value of another type"));
    EXPECT_EQ(text({"TYPE", "other"}), "list");
    EXPECT_EQ(text({"TYPE", "gone"}), "list");
    EXPECT_TRUE(inspected(*index, member_document("ours", member, content)).equal);
    ask({"DEL", "other"});
    EXPECT_THAT(write(*index, {member_document("other", member, content)}, 10), IsEmpty());
    EXPECT_TRUE(inspected(*index, member_document("other", member, content)).equal);
  }
}

TEST_F(DatabaseRedisIndex, RefusesScoresThatAreNone) {
  const auto index = opened({{"shape", "sorted_set"}});
  EXPECT_THAT(
      reasons(write(*index,
                    {member_document("s", "a", "NaN"), member_document("s", "b", "1"), member_document("s", "c", ""),
                     member_document("s", "d", "1e999"), member_document("s", "e", "inf")},
                    1)),
      ElementsAre(HasSubstr("0: Redis refuses it"), HasSubstr("2: Redis refuses it"),
                  HasSubstr("3: Redis refuses it")));
  EXPECT_THAT(list({"ZRANGE", "s", "0", "-1"}), ElementsAre("b", "e"));
}

TEST_F(DatabaseRedisIndex, ExpiresWhatIsToExpire) {
  const auto strings = opened({{"ttl", 100}}), hashes = opened({{"ttl", 100}, {"shape", "hash"}, {"index", "h"}});
  write(*strings, {string_document("a", "1")}, 1);
  write(*hashes, {string_document("b", R"({"x": "1"})")}, 1);
  for (const char* key : {"a", "b"}) {
    EXPECT_GT(number({"TTL", key}), 0) << key;
    EXPECT_LE(number({"TTL", key}), 100) << key;
  }
  write(*opened(json::object(), 2), {string_document("a", "1")}, 1);
  write(*opened({{"shape", "hash"}, {"index", "h"}}, 2), {string_document("b", R"({"x": "1"})")}, 1);
  for (const char* key : {"a", "b"}) EXPECT_EQ(number({"TTL", key}), -1) << key;
}

TEST_F(DatabaseRedisIndex, TakesAnyBytes) {
  std::string bytes;
  for (int i = 0; i < 256; ++i) bytes += static_cast<char>(i);
  for (const char* shape : {"json", "sorted_set", "set"}) {
    SCOPED_TRACE(shape);
    const bool has_members = std::string_view(shape).ends_with("set");
    auto definition = definition_of({{"shape", shape}});
    definition.name = bytes + shape;
    const auto index = make(definition);
    index->open(token);
    ask({"DEL", bytes});
    const std::string content = has_members ? "1" : bytes, member = has_members ? bytes : "";
    Document document = member_document(bytes, member, content);
    document.key = bytes;
    EXPECT_THAT(write(*index, {document}, 1), IsEmpty());
    EXPECT_TRUE(inspected(*index, document).equal);
    EXPECT_THAT(held(*index), ElementsAre(bytes + " " + bytes + " " + member));
    document.content = std::nullopt;
    EXPECT_THAT(write(*index, {document}, 2), IsEmpty());
    EXPECT_EQ(number({"EXISTS", bytes}), 0);
  }
}

TEST_F(DatabaseRedisIndex, KeepsItsKeysInOneSlot) {
  const auto index = opened({{"slot", "shop"}});
  write(*index, {string_document("{shop}:1", "1"), string_document("{shop}:2", std::nullopt)}, 1);
  EXPECT_THAT(list({"KEYS", "*"}),
              UnorderedElementsAre("{shop}:1", "{shop}anabranch:copy:documents", "{shop}anabranch:copy:tombstones",
                                   "{shop}anabranch:copy:checkpoint"));
}

TEST_F(DatabaseRedisIndex, TakesLargeDocuments) {
  const auto index = opened();
  const std::string large = "\"" + std::string(10 << 20, 'x') + "\"", other = "\"" + std::string(10 << 20, 'y') + "\"";
  EXPECT_THAT(write(*index, {string_document("a", large), string_document("b", "1"), string_document("c", other)}, 1),
              IsEmpty());
  EXPECT_EQ(number({"STRLEN", "a"}), static_cast<long long>(large.size()));
  const std::vector<Document> expected = {string_document("a", large), string_document("b", "1"),
                                          string_document("c", large)};
  const auto found = index->inspect(expected);
  EXPECT_TRUE(found.at(0).equal && found.at(1).equal && !found.at(2).equal);
  EXPECT_LE(found.at(0).actual.size(), 10'000U);
}

TEST_F(DatabaseRedisIndex, NothingToWriteRaisesTheVersion) {
  const auto index = opened();
  EXPECT_THAT(write(*index, {}, 10), IsEmpty());
  EXPECT_THAT(write(*index, {}, 9), IsEmpty());
  EXPECT_EQ(index->open(token).version, 10U);
  EXPECT_THAT(index->inspect({}), IsEmpty());
  EXPECT_THAT(held(*index), IsEmpty());
}

TEST_F(DatabaseRedisIndex, DropsWhatIsItsOwn) {
  for (const char* shape : {"json", "hash", "sorted_set", "set"}) {
    SCOPED_TRACE(shape);
    const bool has_members = std::string_view(shape).ends_with("set");
    const auto index = opened({{"shape", shape}});
    std::deque<std::string> texts;
    std::vector<Document> documents;
    for (int i = 0; i < 2'000; ++i) {
      const auto& number = texts.emplace_back("t" + std::to_string(i));
      documents.push_back(member_document(has_members ? "t" : std::string_view(number),
                                          has_members ? std::string_view(number) : "",
                                          std::string_view(shape) == "hash" ? R"({"x": "1"})" : "1"));
    }
    documents.back().content = std::nullopt;
    EXPECT_THAT(write(*index, documents, 1), IsEmpty());
    ask({"SET", "others", "1"});
    ask({"DEL", "t7"});
    ask({"LPUSH", "t7", "x"});
    make(definition_of(json::object(), 9))->drop();
    EXPECT_THAT(list({"KEYS", "*"}), UnorderedElementsAre("others", "t7"));
    index->drop();
    EXPECT_THAT(failure([&] { write(*index, documents, 2); }), HasSubstr("unreachable: "));
    ask({"FLUSHALL"});
  }
}

TEST_F(DatabaseRedisIndex, IsBusyWhileMemoryIsShort) {
  const auto index = opened();
  write(*index, {string_document("a", "1")}, 1);
  ask({"CONFIG", "SET", "maxmemory", "1"});
  EXPECT_THAT(failure([&] { write(*index, {string_document("a", "2")}, 2); }),
              AllOf(HasSubstr("busy: "), HasSubstr("maxmemory")));
  index->open(token);
  EXPECT_TRUE(inspected(*index, string_document("a", "1")).equal);
  EXPECT_THAT(failure([&] { write(*index, {string_document("a", "2")}, 2); }), HasSubstr("busy: "));
  ask({"CONFIG", "SET", "maxmemory", "0"});
  EXPECT_EQ(index->open(token).version, 1U);
  EXPECT_THAT(write(*index, {string_document("a", "2")}, 2), IsEmpty());
  EXPECT_EQ(text({"GET", "a"}), "2");
}

TEST_F(DatabaseRedisIndex, TriesTheNextServer) {
  settings_.urls = {"redis://127.0.0.1:1", url_};
  write(*opened(), {string_document("a", "1")}, 1);
  EXPECT_EQ(text({"GET", "a"}), "1");
}

TEST_F(DatabaseRedisIndex, WritesToNoReplica) {
  ask({"REPLICAOF", "127.0.0.1", "1"});
  EXPECT_THAT(failure([&] { opened(); }), AllOf(HasSubstr("refused: "), HasSubstr("name the primary")));
  settings_.urls = {url_, "redis://127.0.0.1:1"};
  EXPECT_THAT(failure([&] { opened(); }), HasSubstr("unreachable: "));
  ask({"REPLICAOF", "NO", "ONE"});
}

TEST_F(DatabaseRedisIndex, AStopEndsAWait) {
  const auto index = opened();
  ask({"CLIENT", "PAUSE", "5000", "WRITE"});
  std::thread stopper([&] {
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
    stop_.request();
  });
  const auto began = std::chrono::steady_clock::now();
  EXPECT_THROW(write(*index, {string_document("a", "1")}, 1), Interrupted);
  EXPECT_LT(std::chrono::steady_clock::now() - began, std::chrono::milliseconds(4'000));
  stopper.join();
  ask({"CLIENT", "UNPAUSE"});
}

}  // namespace
}  // namespace anabranch
