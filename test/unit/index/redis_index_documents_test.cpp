// The documents that the writer of indexes in Redis leaves there, of each shape, and what it finds of them: against a
// real server, another client of which looks at them, and interferes.
#include "sidecar/index/redis_index.hpp"

#include <algorithm>
#include <deque>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "test/unit/index/redis_index_fixture.hpp"

namespace anabranch {
namespace {

using nlohmann::json;
using test::definition_of;
using test::documents_key;
using test::member_document;
using test::string_document;
using test::token;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::UnorderedElementsAre;

class DatabaseRedisIndexDocuments : public test::RedisIndexTest {};

TEST_F(DatabaseRedisIndexDocuments, HoldsStrings) {
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

TEST_F(DatabaseRedisIndexDocuments, HoldsHashesWithoutWhatIsNull) {
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

TEST_F(DatabaseRedisIndexDocuments, HoldsSortedSets) {
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

TEST_F(DatabaseRedisIndexDocuments, HoldsSets) {
  const auto index = opened({{"shape", "set"}});
  EXPECT_THAT(write(*index, {member_document("tags", "red", ""), member_document("tags", "blue", "")}, 10), IsEmpty());
  EXPECT_THAT(list({"SMEMBERS", "tags"}), UnorderedElementsAre("red", "blue"));
  EXPECT_TRUE(inspected(*index, member_document("tags", "red", "")).equal);
  EXPECT_THAT(write(*index, {member_document("tags", "red", std::nullopt)}, 11), IsEmpty());
  EXPECT_THAT(list({"SMEMBERS", "tags"}), ElementsAre("blue"));
  EXPECT_FALSE(inspected(*index, member_document("tags", "red", "")).present);
  EXPECT_TRUE(inspected(*index, member_document("tags", "red", std::nullopt)).equal);
}

TEST_F(DatabaseRedisIndexDocuments, WritesManyBatchesAtOnce) {
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

TEST_F(DatabaseRedisIndexDocuments, FindsWhatOthersHaveDone) {
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

TEST_F(DatabaseRedisIndexDocuments, RefusesOnlyWhatRedisDoesNotTake) {
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

TEST_F(DatabaseRedisIndexDocuments, RefusesScoresThatAreNone) {
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

TEST_F(DatabaseRedisIndexDocuments, ExpiresWhatIsToExpire) {
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

TEST_F(DatabaseRedisIndexDocuments, TakesAnyBytes) {
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
    EXPECT_THAT(write(*index, {document}, 1), IsEmpty());
    EXPECT_TRUE(inspected(*index, document).equal);
    EXPECT_THAT(held(*index), ElementsAre(std::string(document.key) + " " + bytes + " " + member));
    document.content = std::nullopt;
    EXPECT_THAT(write(*index, {document}, 2), IsEmpty());
    EXPECT_EQ(number({"EXISTS", bytes}), 0);
  }
}

TEST_F(DatabaseRedisIndexDocuments, TakesLargeDocuments) {
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

}  // namespace
}  // namespace anabranch
