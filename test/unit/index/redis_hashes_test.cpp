// Hashes set by plain commands in transactions: as exact, and as safe from another sidecar, as the function "write".
#include "sidecar/index/redis_hashes.hpp"

#include <chrono>
#include <cstdlib>
#include <deque>
#include <random>
#include <thread>

#include <gmock/gmock.h>

#include "test/unit/index/redis_index_fixture.hpp"

namespace anabranch {
namespace {

using nlohmann::json;
using test::checkpoint_key;
using test::documents_key;
using test::failure;
using test::string_document;
using test::token;
using ::testing::AllOf;
using ::testing::AnyOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

class DatabaseRedisHashes : public test::RedisIndexTest {
 protected:
  // Documents of one field, `count` of them, valid as long as the object.
  const std::vector<Document>& numbered(int count, const std::string& value) {
    documents_.clear();
    for (int i = 0; i < count; ++i)
      documents_.push_back(string_document(texts_.emplace_back("h" + std::to_string(i)),
                                           texts_.emplace_back(json({{"x", value}}).dump())));
    return documents_;
  }
  bool functions_called() { return text({"INFO", "commandstats"}).find("cmdstat_fcall:") != std::string::npos; }

  std::deque<std::string> texts_;
  std::vector<Document> documents_;
};

TEST_F(DatabaseRedisHashes, AreSetWithoutAFunctionInAnyNumber) {
  settings_.bulk_bytes_max = 20'000;
  const auto index = opened({{"shape", "hash"}});
  for (const IndexVersion version : {1U, 2U, 3U}) {
    // What has been there is looked at in full from the second batch that meets it on.
    ask({"CONFIG", "RESETSTAT"});
    EXPECT_THAT(write(*index, numbered(1'700, std::to_string(version)), version), IsEmpty());
    EXPECT_EQ(functions_called(), version == 2) << version;
    EXPECT_EQ(number({"HLEN", documents_key}), 1'700);
    EXPECT_THAT(list({"HGETALL", "h1699"}), ElementsAre("x", std::to_string(version)));
    for (const auto& found : index->inspect(documents_)) EXPECT_TRUE(found.equal && found.version == version);
  }
  EXPECT_EQ(index->open(token).version, 3U);
}

TEST_F(DatabaseRedisHashes, TellWhatRedisHasSaidBeforeItEndedTheSession) {
  const auto index = opened({{"shape", "hash"}});
  ask({"CONFIG", "SET", "proto-max-bulk-len", "1048576"});
  EXPECT_THAT(failure([&] { write(*index, numbered(3, std::string(3'000'000, 'x')), 1); }),
              HasSubstr("invalid bulk length"));
  index->open(token);  // learns of it
  const auto refused = write(*index, numbered(3, std::string(3'000'000, 'x')), 1);
  ask({"CONFIG", "SET", "proto-max-bulk-len", "536870912"});
  ASSERT_EQ(refused.size(), 3U);
  EXPECT_THAT(refused[0].reason, HasSubstr("1048576 bytes"));
}

TEST_F(DatabaseRedisHashes, HoldNothingBesides) {
  const auto index = opened({{"shape", "hash"}});
  write(*index, numbered(3, "1"), 1);
  // The batch before was all new, so of this one nobody asks how long the hashes are; of the next one somebody does.
  for (const IndexVersion version : {2U, 3U}) {
    ask({"HSET", "h0", "x", "1", "y", "somebody else's"});
    ask({"DEL", "h1"});
    ask({"HSET", "h1", "y", "somebody else's, and nothing of ours"});
    ask({"SET", "h2", "somebody else's"});
    EXPECT_THAT(reasons(write(*index, numbered(3, "2"), version)),
                ElementsAre("2: the key holds a value of another type"));
    for (const char* key : {"h0", "h1"}) EXPECT_THAT(list({"HGETALL", key}), ElementsAre("x", "2"));
    EXPECT_EQ(text({"GET", "h2"}), "somebody else's");
    EXPECT_THAT(held(*index), ElementsAre(R"({"id": 1} h0 )", R"({"id": 1} h1 )")) << "what was refused is not ours";
  }
}

TEST_F(DatabaseRedisHashes, AreLeftToTheFunctionWhereVersionsAreToBeCompared) {
  const auto index = opened({{"shape", "hash"}});
  write(*index, numbered(2, "2"), 20);
  write(*index, numbered(1, "3"), 30);
  write(*index, numbered(2, "2.5"), 25);
  EXPECT_EQ(text({"HGET", "h0", "x"}), "3");
  EXPECT_EQ(text({"HGET", "h1", "x"}), "2.5");
  EXPECT_EQ(index->open(token).version, 30U);
}

TEST_F(DatabaseRedisHashes, AreRefusedWhereTheIndexIsNotTheOneThatWasOpened) {
  const auto index = opened({{"shape", "hash"}});
  ask({"FLUSHALL"});
  EXPECT_THAT(failure([&] { write(*index, numbered(2, "1"), 1); }), HasSubstr("not the one that was opened"));
  EXPECT_EQ(number({"DBSIZE"}), 0);
}

TEST_F(DatabaseRedisHashes, AreNotSetByWhoMayBeginNoTransaction) {
  ask({"ACL", "SETUSER", "default", "-multi"});
  const auto failed = failure([&] { opened({{"shape", "hash"}}); });
  ask({"ACL", "SETUSER", "default", "+multi"});
  EXPECT_THAT(failed, AllOf(HasSubstr("refused: "), HasSubstr("'multi'"), HasSubstr("+@transaction")));
}

TEST_F(DatabaseRedisHashes, AreNotSetInPartWhereMemoryIsShort) {
  const auto index = opened({{"shape", "hash"}});
  write(*index, numbered(1, "1"), 1);
  ask({"CONFIG", "SET", "maxmemory", "1"});
  EXPECT_THAT(failure([&] { write(*index, numbered(700, "2"), 2); }),
              AllOf(HasSubstr("busy: "), HasSubstr("maxmemory")));
  ask({"CONFIG", "SET", "maxmemory", "0"});
  EXPECT_EQ(text({"HGET", "h0", "x"}), "1");
  EXPECT_EQ(number({"HLEN", documents_key}), 1);
  EXPECT_EQ(index->open(token).version, 1U);
  EXPECT_THAT(write(*index, numbered(700, "2"), 2), IsEmpty());
  EXPECT_EQ(text({"HGET", "h699", "x"}), "2");
}

// From the moment at which another sidecar has taken over nothing more is written, whatever was under way.
TEST_F(DatabaseRedisHashes, AHigherTokenFencesBetweenAnyTwoCommands) {
  const char* given = std::getenv("ANABRANCH_SEED");
  const uint64_t seed = given != nullptr ? std::strtoull(given, nullptr, 10) : std::random_device()();
  SCOPED_TRACE("ANABRANCH_SEED=" + std::to_string(seed));
  std::mt19937_64 random(seed);
  settings_.bulk_bytes_max = 2'000;
  const auto& documents = numbered(20'000, "1");
  for (int round = 0; round < 10; ++round) {
    ask({"FLUSHALL"});
    const auto index = opened({{"shape", "hash"}});
    std::string outcome;
    std::thread writer([&] { outcome = failure([&] { write(*index, documents, 1); }); });
    std::this_thread::sleep_for(std::chrono::microseconds(random() % 60'000));
    ask({"MULTI"});
    ask({"HSET", checkpoint_key, "token", "0000000000000008"});
    ask({"HLEN", documents_key});
    ask({"DBSIZE"});
    const auto taken_over = ask({"EXEC"});
    writer.join();
    EXPECT_EQ(number({"HLEN", documents_key}), taken_over->element[1]->integer);
    EXPECT_EQ(number({"DBSIZE"}), taken_over->element[2]->integer);
    EXPECT_THAT(outcome, AnyOf("nothing was thrown", HasSubstr("another sidecar has taken over")));
  }
}

}  // namespace
}  // namespace anabranch
