// Whom an index in Redis belongs to, and what it does when the server is another, away, full or a replica: against a
// real server, which another client spoils.
#include "sidecar/index/redis_index.hpp"

#include <chrono>
#include <deque>
#include <thread>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "test/unit/index/redis_index_fixture.hpp"

namespace anabranch {
namespace {

using nlohmann::json;
using test::checkpoint_key;
using test::definition_of;
using test::documents_key;
using test::failure;
using test::member_document;
using test::string_document;
using test::token;
using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::UnorderedElementsAre;

TEST(RedisIndex, RefusesOptionsItDoesNotUnderstand) {
  const Stop stop;
  IndexSettings settings;
  settings.urls = {"redis://127.0.0.1:1"};
  const auto refusal = [&](const json& options) {
    return failure([&] { make_redis_index(settings, definition_of(options), stop)->open(token); });
  };
  EXPECT_THAT(refusal({{"shape", "list"}}),
              AllOf(HasSubstr("refused: "), HasSubstr("\"list\""), HasSubstr("sorted_set")));
  EXPECT_THAT(refusal({{"shape", 1}}), HasSubstr("refused: "));
  for (const json& ttl : {json(0), json(-1), json("60"), json(1.5), json(int64_t{1} << 40)})
    EXPECT_THAT(refusal({{"ttl", ttl}}), HasSubstr("refused: ")) << ttl;
  EXPECT_THAT(refusal({{"slot", "a}b"}}), HasSubstr("refused: "));
  for (const char* option : {"mapping", "settings"})
    EXPECT_THAT(refusal({{option, json::object()}}), AllOf(HasSubstr("refused: "), HasSubstr(option)));
  EXPECT_THAT(refusal({{"shape", "hash"}, {"ttl", 60}, {"slot", "a"}, {"index", "b"}, {"unheard", "of"}}),
              HasSubstr("unreachable: "));
  settings.urls.clear();
  EXPECT_THAT(refusal(json::object()), HasSubstr("refused: "));
}

TEST(RedisIndex, OfANameThatIsNoneIsGone) {
  const Stop stop;
  IndexSettings settings;
  settings.urls = {"redis://127.0.0.1:1"};
  EXPECT_EQ(failure([&] {
              make_redis_index(settings, definition_of({{"slot", "a}b"}}), stop)->drop();
            }),
            "nothing was thrown");
}

TEST(RedisIndex, IsUnreachableBeforeItIsOpened) {
  const Stop stop;
  IndexSettings settings;
  settings.urls = {"redis://127.0.0.1:1"};
  const auto index = make_redis_index(settings, definition_of(json::object()), stop);
  EXPECT_THAT(failure([&] { index->write({}, 1); }), HasSubstr("unreachable: "));
  EXPECT_THAT(failure([&] { index->open(token); }), HasSubstr("unreachable: "));
}

class DatabaseRedisIndexOpen : public test::RedisIndexTest {};

TEST_F(DatabaseRedisIndexOpen, AHigherTokenFences) {
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

TEST_F(DatabaseRedisIndexOpen, BelongsToOneDatabase) {
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

TEST_F(DatabaseRedisIndexOpen, TellsThatItIsNotTheSameAnyMore) {
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

TEST_F(DatabaseRedisIndexOpen, ForgetsWhatAnEvictedCheckpointLeft) {
  const auto index = opened();
  write(*index, {string_document("a", "1")}, 10);
  ask({"DEL", checkpoint_key});
  index->open(token);
  write(*index, {string_document("a", "2")}, 9);
  EXPECT_EQ(text({"GET", "a"}), "2");
}

TEST_F(DatabaseRedisIndexOpen, LoadsItsFunctionsAgain) {
  const auto index = opened();
  ask({"FUNCTION", "FLUSH"});
  EXPECT_THAT(failure([&] { write(*index, {}, 1); }), HasSubstr("unreachable: "));
  index->open(token);
  write(*index, {}, 1);
  ask({"FUNCTION", "LOAD", "REPLACE", "#!lua name=anabranch_1\nredis.register_function('other', function() end)"});
  index->open(token);
  write(*index, {}, 1);
}

TEST_F(DatabaseRedisIndexOpen, KeepsItsKeysInOneSlot) {
  const auto index = opened({{"slot", "shop"}});
  write(*index, {string_document("{shop}:1", "1"), string_document("{shop}:2", std::nullopt)}, 1);
  EXPECT_THAT(list({"KEYS", "*"}),
              UnorderedElementsAre("{shop}:1", "{shop}anabranch:copy:documents", "{shop}anabranch:copy:tombstones",
                                   "{shop}anabranch:copy:checkpoint"));
}

TEST_F(DatabaseRedisIndexOpen, DropsWhatIsItsOwn) {
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

TEST_F(DatabaseRedisIndexOpen, DropsWhateverItsOptionsSay) {
  write(*opened({{"shape", "hash"}, {"slot", "s"}}), {string_document("{s}1", R"({"x": "1"})")}, 1);
  make(definition_of({{"shape", "list"}, {"ttl", -1}, {"mapping", json::object()}, {"slot", "s"}}, -1))->drop();
  EXPECT_THAT(list({"KEYS", "*"}), IsEmpty());
}

// What was never an entry is passed over; of what looks like one nobody may know the key.
TEST_F(DatabaseRedisIndexOpen, HoldsWhatOthersHaveEntered) {
  const std::string version(24, '0');
  for (const char* shape : {"json", "set"}) {
    SCOPED_TRACE(shape);
    const auto index = opened({{"shape", shape}});
    write(*index, {member_document("t", std::string_view(shape) == "set" ? "m" : "", "1")}, 1);
    int i = 0;
    for (const auto& entry : {std::string("x"), version + "dx", version + "d", version + "d[1]",
                              version + "d{\"id\": ", version + "d{\xff}", "x" + version.substr(1) + "d{\"id\": 2}"})
      ask({"HSET", documents_key, "1:" + std::to_string(i++), entry});
    if (std::string_view(shape) == "set") ask({"HSET", documents_key, "9:x", version + R"(d{"id": 3})"});
    EXPECT_EQ(held(*index).size(), 6U);
    index->drop();
    EXPECT_THAT(list({"KEYS", "*"}), IsEmpty());
  }
}

TEST_F(DatabaseRedisIndexOpen, IsBusyWhileMemoryIsShort) {
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

TEST_F(DatabaseRedisIndexOpen, TriesTheNextServer) {
  settings_.urls = {"redis://127.0.0.1:1", url_};
  write(*opened(), {string_document("a", "1")}, 1);
  EXPECT_EQ(text({"GET", "a"}), "1");
}

TEST_F(DatabaseRedisIndexOpen, WritesToNoReplica) {
  ask({"REPLICAOF", "127.0.0.1", "1"});
  EXPECT_THAT(failure([&] { opened(); }), AllOf(HasSubstr("refused: "), HasSubstr("name the primary")));
  settings_.urls = {url_, "redis://127.0.0.1:1"};
  EXPECT_THAT(failure([&] { opened(); }), HasSubstr("unreachable: "));
  ask({"REPLICAOF", "NO", "ONE"});
}

TEST_F(DatabaseRedisIndexOpen, AStopEndsAWait) {
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
