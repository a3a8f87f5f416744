#include "sidecar/index/search_index.hpp"

#include <algorithm>
#include <atomic>
#include <map>
#include <optional>
#include <random>
#include <set>
#include <thread>

#include <gmock/gmock.h>

#include "sidecar/index/tombstones.hpp"
#include "test/unit/index/search_server.hpp"
#include "test/unit/index/search_stub.hpp"

namespace anabranch {
namespace {

using test::SearchServerTest;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

constexpr IndexVersion first = (3ULL << 51) + 1'000;  // past what a double holds exactly

// Of another kind of engine, or of none: nothing but the name and the owner is needed to remove an index.
TEST(SearchIndex, DropsWhateverItsOptionsSay) {
  const Stop stop;
  IndexDefinition definition;
  definition.name = "products";
  definition.owner = "1/shop";
  definition.options = {{"shape", "hash"}, {"ttl", 60}, {"mapping", 5}, {"settings", "none"}};
  test::HttpStub stub(
      {test::opensearch_root,
       test::HttpStub::answer(200, R"({"products-000002":{"mappings":{"_meta":{"anabranch":{"owner":"1/shop"}}}}})"),
       test::HttpStub::answer(200, "{}")});
  const auto settings = test::settings_for(stub);
  make_search_index(settings, definition, stop)->drop();
  ASSERT_EQ(stub.requests().size(), 3U);
  EXPECT_THAT(stub.requests()[2], testing::StartsWith("DELETE /products-000002 "));
  // No engine has an index of that name, so none is asked.
  definition.name = "Products";
  make_search_index(settings, definition, stop)->drop();
  EXPECT_EQ(stub.requests().size(), 3U);
}

TEST(SearchIndex, RefusesOptionsItDoesNotUnderstand) {
  const Stop stop;
  test::HttpStub stub({test::opensearch_root, test::HttpStub::answer(404, "{}"), test::HttpStub::answer(404, "{}"),
                       test::HttpStub::answer(404, "{}")});
  IndexDefinition definition;
  definition.name = "products";
  const auto refusal = [&](const nlohmann::json& options) {
    definition.options = options;
    try {
      make_search_index(test::settings_for(stub), definition, stop)->open(1);
    } catch (const IndexError& error) {
      EXPECT_EQ(error.kind(), IndexError::Kind::refused);
      return std::string(error.what());
    }
    return std::string();
  };
  for (const char* name : {"shape", "key", "member", "score", "ttl", "slot"})
    EXPECT_THAT(refusal({{name, "hash"}}), HasSubstr(name));
  EXPECT_THAT(refusal({{"shape", 5}}), HasSubstr("shape"));
  EXPECT_THAT(refusal({{"index", "A"}}), HasSubstr("capital letters"));
  EXPECT_EQ(stub.requests().size(), 0U);
  EXPECT_THAT(refusal({{"shape", "json"}, {"mapping", 5}}), HasSubstr("\"mapping\""));
}

class DatabaseSearchIndex : public SearchServerTest {
 protected:
  // "refused: ... / remedy", "busy: ...", "unreachable: ...", or "".
  template <typename Call>
  static std::string outcome(Call call) {
    try {
      call();
      return "";
    } catch (const IndexError& error) {
      const char* const kind = error.kind() == IndexError::Kind::refused ? "refused: "
                               : error.kind() == IndexError::Kind::busy  ? "busy: "
                                                                         : "unreachable: ";
      return kind + std::string(error.what()) + " / " + error.remedy();
    }
  }
  std::string opening() {
    return outcome([&] { index()->open(1); });
  }
};

std::vector<std::string> ids_of(const std::vector<HeldDocument>& held) {
  std::vector<std::string> ids;
  for (const auto& document : held) ids.push_back(document.id);
  std::sort(ids.begin(), ids.end());
  return ids;
}

TEST_F(DatabaseSearchIndex, WhatIsWrittenIsFound) {
  auto index = this->index();
  const auto opened = index->open(1);
  EXPECT_FALSE(opened.identity.empty());
  EXPECT_EQ(opened.version, std::nullopt);
  EXPECT_TRUE(index->side_by_side());
  EXPECT_EQ(index->visible_within(), settings_.refresh_interval);

  const std::vector documents{document(1, 10), document(2, 20), gone(3)};
  EXPECT_THAT(index->write(documents, first), IsEmpty());
  EXPECT_THAT(readers_find(), IsEmpty()) << "not published";
  index->publish();
  index->make_visible();
  EXPECT_THAT(readers_find(), ElementsAre("1", "2"));

  const auto found = index->inspect(std::vector{document(1, 10), document(2, 21), document(3, 30), gone(4), gone(1)});
  ASSERT_EQ(found.size(), 5U);
  EXPECT_TRUE(found[0].present && found[0].equal && !found[0].foreign);
  EXPECT_EQ(found[0].version, first);
  EXPECT_EQ(found[0].actual, "");
  EXPECT_TRUE(found[1].present && !found[1].equal && !found[1].foreign);
  EXPECT_EQ(nlohmann::json::parse(found[1].actual), nlohmann::json::parse(*documents[1].content));
  EXPECT_TRUE(!found[2].present && !found[2].equal && !found[2].foreign);
  EXPECT_EQ(found[2].version, first) << "of the tombstone";
  EXPECT_TRUE(!found[3].present && found[3].equal);
  EXPECT_EQ(found[3].version, std::nullopt);
  EXPECT_TRUE(found[4].present && !found[4].equal);

  EXPECT_EQ(this->index()->open(2).identity, opened.identity) << "it is not made anew";
}

// Goal: whatever the order in which writes arrive, and how often, the newest of each document stays. Method: the
// history of some documents, shuffled and with repetitions.
TEST_F(DatabaseSearchIndex, TheNewestWinsInAnyOrder) {
  auto index = this->index();
  index->open(1);
  index->publish();
  for (const unsigned seed : {1U, 2U, 3U}) {
    SCOPED_TRACE(seed);
    std::mt19937 random(seed);
    struct Write {
      IndexVersion version;
      Document document;
    };
    std::vector<Write> writes;
    std::vector<Document> newest;
    for (int id = 0; id < 20; ++id) {
      for (int n = 0; n < 5; ++n)
        writes.push_back({first + seed * 100 + static_cast<IndexVersion>(n),
                          random() % 3 == 0 ? gone(id) : document(id, static_cast<int>(seed) * 100 + n)});
      newest.push_back(writes.back().document);
    }
    for (int i = 0; i < 20; ++i) writes.push_back(writes[random() % writes.size()]);
    std::shuffle(writes.begin(), writes.end(), random);
    for (const Write& write : writes) EXPECT_THAT(index->write({&write.document, 1}, write.version), IsEmpty());
    for (const auto& found : index->inspect(newest)) EXPECT_TRUE(found.equal && !found.foreign) << found.actual;
  }
}

TEST_F(DatabaseSearchIndex, ADocumentThatIsRefusedIsAlone) {
  auto index = this->index();
  index->open(1);
  const auto refused = index->write(std::vector{document(1, 1), document(2, R"({"id": 2, "n": "many"})", "d"),
                                                document(3, R"({"id": 3, "x": 1})", "d"), document(4, 4),
                                                document(5, R"({"id": broken)", "d"), document(6, 6)},
                                    first);
  ASSERT_EQ(refused.size(), 3U);
  EXPECT_EQ(refused[0].place, 1U);
  EXPECT_THAT(refused[0].reason, testing::AllOf(HasSubstr("mapper_parsing_exception"), HasSubstr("[n]")));
  EXPECT_EQ(refused[1].place, 2U);
  EXPECT_THAT(refused[1].reason, HasSubstr("strict_dynamic_mapping_exception"));
  EXPECT_EQ(refused[2].place, 4U);
  const auto held = index->scan("");
  EXPECT_EQ(held.documents.size(), 3U);
}

TEST_F(DatabaseSearchIndex, LongIdentifiersAndLargeDocuments) {
  settings_.bulk_bytes_max = 10'000;
  settings_.in_flight_max = 3;
  auto index = this->index();
  index->open(1);
  std::vector<Document> documents;
  for (int id = 0; id < 500; ++id) documents.push_back(document(id, id));
  const std::string large = fmt::format(R"({{"id": 600, "t": "{}"}})", std::string(100'000, 'x'));
  documents.push_back(document(600, large, "d"));
  const std::string longest(512, 'i');
  const std::string too_long(513, 'i');
  documents.push_back(document(601, 601));
  documents.back().id = longest;
  documents.push_back(document(602, 602));
  documents.back().id = too_long;
  const auto refused = index->write(documents, first);
  ASSERT_EQ(refused.size(), 1U);
  EXPECT_EQ(refused[0].place, 502U);
  EXPECT_THAT(refused[0].reason, HasSubstr("513 bytes"));
  documents.pop_back();
  for (const auto& found : index->inspect(documents)) EXPECT_TRUE(found.equal);
}

TEST_F(DatabaseSearchIndex, TakesWhatPostgresPrints) {
  definition_.columns = {{"id", "bigint"},
                         {"b", "boolean"},
                         {"n", "numeric"},
                         {"d", "date"},
                         {"s", "timestamp without time zone"},
                         {"z", "timestamp with time zone"},
                         {"u", "uuid"},
                         {"y", "bytea"},
                         {"j", "jsonb"},
                         {"a", "text", true},
                         {"r", "real"},
                         {"q", "integer", true}};
  auto index = this->index();
  index->open(1);
  index->publish();
  const std::vector documents{
      document(
          1,
          R"({"id": 1, "b": true, "n": 1234567890.123456789, "d": "2026-01-02", "s": "2026-01-02T03:04:05.123456",)"
          "\n"
          R"("z": "2026-01-02T03:04:05.123456+00:00", "u": "00000000-0000-0000-0000-000000000001", "y": "\\x00",)"
          R"( "j": {"k": 1, "l": "2026-01-02", "m": [{"o": 1}]}, "a": ["x", null, "z"], "r": 1.5, "q": [1, 2]})",
          "d"),
      document(2,
               R"({"id": 2, "b": null, "n": "NaN", "d": "infinity", "s": "0044-03-15T00:00:00 BC",)"
               R"( "z": "1900-01-01T00:00:00+00:19:32", "j": {"k": "a text", "l": "text"}, "r": "-Infinity"})",
               "d"),
      document(3, "{}", "d")};
  EXPECT_THAT(index->write(documents, first), IsEmpty());
  index->make_visible();
  const auto hits = [&](const std::string& query) {
    return call("GET", fmt::format("/{}/_search?q={}", name(), url_escaped(query)))["hits"]["total"]["value"]
        .get<int>();
  };
  EXPECT_EQ(hits("z:[2026-01-02T03:04:05.123Z TO 2026-01-02T03:04:05.124Z]"), 1);
  EXPECT_EQ(hits("s:\"2026-01-02T03:04:05.123456\""), 1);
  EXPECT_EQ(hits("d:2026-01-02"), 1);
  EXPECT_EQ(hits("j.k:1"), 1);
  EXPECT_EQ(hits("a.keyword:z"), 1);
}

TEST_F(DatabaseSearchIndex, AnIndexDeletedBehindOurBackIsNoticed) {
  auto index = this->index();
  const auto before = index->open(1).identity;
  index->write(std::vector{document(1, 1)}, first);
  call("DELETE", "/" + generation());
  EXPECT_THAT(outcome([&] { index->write(std::vector{document(2, 2)}, first); }), HasSubstr("unreachable: "));
  EXPECT_TRUE(call("GET", "/" + generation()).contains("error")) << "a late write makes no index";
  EXPECT_THAT(outcome([&] { index->make_visible(); }), HasSubstr("unreachable: "));
  const auto after = index->open(1).identity;
  EXPECT_NE(after, before);
  EXPECT_THAT(index->write(std::vector{document(1, 1)}, first), IsEmpty());
  index->make_visible();

  // Made anew by a process of ours: it passes for the same in everything but its identity.
  call("DELETE", "/" + generation());
  this->index()->open(1);
  index->write(std::vector{document(1, 1)}, first);
  EXPECT_THAT(outcome([&] { index->make_visible(); }), HasSubstr("made anew"));

  call("DELETE", "/" + generation());
  call("PUT", "/" + generation());
  EXPECT_THAT(outcome([&] { index->write(std::vector{document(2, 2)}, first); }), HasSubstr("unreachable: "));
  EXPECT_THAT(opening(), testing::AllOf(HasSubstr("refused: "), HasSubstr("that Anabranch has not made")));
}

TEST_F(DatabaseSearchIndex, AWritersAliasThatWasRemovedComesBack) {
  auto index = this->index();
  index->open(1);
  call("DELETE", fmt::format("/{0}/_alias/{0}-write", generation()));
  EXPECT_THAT(outcome([&] { index->write(std::vector{document(1, 1)}, first); }), HasSubstr("unreachable: "));
  index->open(1);
  EXPECT_THAT(index->write(std::vector{document(1, 1)}, first), IsEmpty());
}

TEST_F(DatabaseSearchIndex, WhatOthersWroteIsForeign) {
  auto index = this->index();
  index->open(1);
  index->write(std::vector{document(1, 1), document(2, 2), document(3, 3), document(4, 4), gone(5)}, first);
  call("POST", fmt::format("/{}/_update/1", generation()), R"({"doc": {"n": 7}})");
  call("PUT", fmt::format("/{}/_doc/2", generation()), R"({"id": 2})");
  call("DELETE", fmt::format("/{}/_doc/3", generation()));
  call("PUT", fmt::format("/{}/_doc/mine", generation()), R"({"id": 9, "n": 9})");
  const auto found =
      index->inspect(std::vector{document(1, 1), document(2, 2), document(3, 3), document(4, 4), gone(5)});
  EXPECT_TRUE(found[0].present && found[0].foreign && !found[0].equal);
  EXPECT_THAT(found[0].actual, HasSubstr(R"("n":7)"));
  EXPECT_TRUE(found[1].present && found[1].foreign && !found[1].equal);
  EXPECT_TRUE(!found[2].present && !found[2].equal);
  EXPECT_TRUE(found[3].present && !found[3].foreign && found[3].equal);
  EXPECT_TRUE(!found[4].present && !found[4].foreign && found[4].equal);
  EXPECT_TRUE(!found[0].stale && !found[3].stale);
  const auto later = index->inspect(std::vector{document(4, 5)});
  EXPECT_TRUE(later[0].stale && !later[0].foreign && !later[0].equal) << "a write was lost";
  const auto page = index->scan("");
  std::multiset<std::string> keys;
  for (const auto& document : page.documents) keys.insert(document.key);
  EXPECT_THAT(keys, ElementsAre("", "", R"({"id": 1})", R"({"id": 4})"));
  EXPECT_THAT(ids_of(index->extra(page, std::vector{document(1, 1), document(4, 4)})), ElementsAre("2", "mine"));
  EXPECT_THAT(ids_of(index->extra(page, std::vector{document(2, 2), gone(4)})), ElementsAre("1", "4", "mine"));
  EXPECT_THAT(index->write(std::vector{document(1, 1), document(2, 2), document(3, 3)}, first + 100), IsEmpty());
  for (const auto& now : index->inspect(std::vector{document(1, 1), document(2, 2), document(3, 3)}))
    EXPECT_TRUE(now.equal) << "a newer write puts it right";
}

// A document of ours in another place has all that ours have.
TEST_F(DatabaseSearchIndex, ADocumentUnderTheIdOfAnotherIsFound) {
  auto index = this->index();
  index->open(1);
  index->write(std::vector{document(1, 1), document(2, 2)}, first);
  const auto copy = call("GET", fmt::format("/{}/_source/1", generation()));
  for (const char* id : {"2", "elsewhere"})
    call("PUT", fmt::format("/{}/_doc/{}?version={}&version_type=external", generation(), id, first + 1), copy.dump());
  const auto expected = std::vector{document(1, 1), document(2, 2)};
  const auto found = index->inspect(expected);
  EXPECT_TRUE(found[0].equal && !found[0].foreign);
  EXPECT_TRUE(found[1].foreign && !found[1].equal);
  auto page = index->scan("");
  EXPECT_THAT(ids_of(index->extra(page, expected)), ElementsAre("elsewhere"));
  page.documents.clear();
  EXPECT_THAT(index->extra(page, {}), IsEmpty()) << "of keys that nobody has looked up nothing is said";
}

TEST_F(DatabaseSearchIndex, AScanListsEverything) {
  definition_.options["settings"] = {{"number_of_shards", 3}};
  auto index = this->index();
  index->open(1);
  EXPECT_THAT(index->scan("").documents, IsEmpty());
  std::vector<Document> documents;
  std::set<std::string> expected;
  for (int id = 0; id < 4'500; ++id) {
    documents.push_back(id % 10 == 0 ? gone(id) : document(id, id));
    if (id % 10 != 0) expected.insert(fmt::format(R"({{"id": {}}})", id));
  }
  index->write(documents, first);
  std::multiset<std::string> held;
  int pages = 0;
  std::string after;
  do {
    const auto page = index->scan(after);
    for (const auto& document : page.documents) held.insert(document.key);
    after = page.next;
    if (++pages == 2) index->write(std::vector{document(5'000, 1)}, first + 1);  // may be among it, or not
  } while (!after.empty());
  held.erase(R"({"id": 5000})");
  EXPECT_TRUE(std::equal(held.begin(), held.end(), expected.begin(), expected.end())) << held.size();
  EXPECT_GT(pages, 4);
}

// Goal: readers find the alias, and documents behind it, at every moment of a change of generations. Method: a reader
// that asks all the time.
TEST_F(DatabaseSearchIndex, APublishedGenerationReplacesTheOneBefore) {
  auto old = index();
  old->open(1);
  old->write(std::vector{document(1, 1)}, first);
  old->publish();
  old->make_visible();
  std::atomic<bool> done = false;
  std::atomic<int> answers = 0, failures = 0;
  std::thread reader([&] {
    while (!done) {
      ++answers;
      if (readers_find().empty()) ++failures;
    }
  });
  for (definition_.generation = 2; definition_.generation <= 4; ++definition_.generation) {
    auto next = index();
    next->open(1);
    next->write(std::vector{document(1, 1), document(static_cast<int>(definition_.generation), 1)}, first);
    next->make_visible();
    next->publish();
    next->publish();  // again changes nothing
  }
  done = true;
  reader.join();
  EXPECT_GT(answers, 0);
  EXPECT_EQ(failures, 0);
  EXPECT_THAT(readers_find(), ElementsAre("1", "4"));
  EXPECT_EQ(call("GET", fmt::format("/{}-*/_settings", name())).size(), 1U) << "older ones are gone";
  EXPECT_THAT(outcome([&] { old->write(std::vector{document(1, 1)}, first); }), HasSubstr("unreachable: "));
  definition_.generation = 1;
  auto late = index();
  late->open(1);
  EXPECT_THAT(outcome([&] { late->publish(); }),
              testing::AllOf(HasSubstr("refused: "), HasSubstr("newer generation already")));
}

TEST_F(DatabaseSearchIndex, DropRemovesWhatIsOursAlone) {
  index()->open(1);
  definition_.generation = 2;
  auto second = index();
  second->open(1);
  second->publish();
  call("PUT", fmt::format("/{}-archive", name()));
  call("PUT", fmt::format("/{}-000009", name()));
  definition_.owner = "2/other";
  definition_.generation = 3;
  // The alias is another database's by now: ours must not make readers find both.
  EXPECT_THAT(opening(), testing::AllOf(HasSubstr("refused: "), HasSubstr("is not ours")));
  definition_.owner = "1/shop";
  index()->drop();
  index()->drop();  // nothing there is nothing to do
  const auto left = call("GET", fmt::format("/{}*/_settings", name()));
  EXPECT_EQ(left.size(), 2U);
  EXPECT_TRUE(left.contains(name() + "-archive") && left.contains(name() + "-000009"));
}

TEST_F(DatabaseSearchIndex, AnothersIndexIsLeftAlone) {
  index()->open(1);
  definition_.owner = "2/other";
  EXPECT_THAT(opening(), testing::AllOf(HasSubstr("refused: "), HasSubstr("to another index of this one (1/shop)"),
                                        HasSubstr("option \"index\"")));
  definition_.owner = "1/shop";
  definition_.options["index"] = name() + "-taken";
  call("PUT", fmt::format("/{}-taken", name()));
  EXPECT_THAT(opening(), testing::AllOf(HasSubstr("refused: "), HasSubstr("cannot be the name by which readers find")));
}

TEST_F(DatabaseSearchIndex, AMappingThatTheEngineRefusesIsTold) {
  definition_.options["mapping"] = {{"t", {{"type", "text"}, {"analyzer", "klingon"}}}};
  EXPECT_THAT(opening(), testing::AllOf(HasSubstr("refused: "), HasSubstr("klingon"), HasSubstr("\"mapping\"")));
  definition_.options["settings"] = {
      {"analysis", {{"analyzer", {{"klingon", {{"type", "custom"}, {"tokenizer", "whitespace"}}}}}}}};
  EXPECT_EQ(opening(), "");
  definition_.generation = 2;
  definition_.options["settings"] = {{"number_of_shards", -1}};
  EXPECT_THAT(opening(), testing::AllOf(HasSubstr("refused: "), HasSubstr("number_of_shards")));
}

TEST_F(DatabaseSearchIndex, ABlockOfWritesPasses) {
  auto index = this->index();
  index->open(1);
  for (const char* block : {"read_only_allow_delete", "write", "read_only"}) {
    SCOPED_TRACE(block);
    const auto set = [&](const char* value) {
      call("PUT", fmt::format("/{}/_settings", generation()),
           fmt::format(R"({{"index.blocks.{}": {}}})", block, value));
    };
    set("true");
    EXPECT_THAT(outcome([&] { index->write(std::vector{document(1, 1)}, first); }),
                testing::AllOf(HasSubstr("busy: "), HasSubstr("blocked by"), HasSubstr("free disk space")));
    set("null");
    EXPECT_THAT(index->write(std::vector{document(1, 1)}, first), IsEmpty());
  }
  call("POST", fmt::format("/{}/_close", generation()));
  EXPECT_THAT(outcome([&] { index->write(std::vector{document(1, 1)}, first); }), HasSubstr("busy: "));
  call("POST", fmt::format("/{}/_open", generation()));
  EXPECT_THAT(index->write(std::vector{document(1, 1)}, first), IsEmpty());
}

TEST_F(DatabaseSearchIndex, TheKindMustBeRight) {
  settings_.kind = IndexSettings::Kind::elasticsearch;
  EXPECT_THAT(opening(), testing::AllOf(HasSubstr("refused: "), HasSubstr("set kind = \"opensearch\"")));
}

TEST_F(DatabaseSearchIndex, ANodeThatIsAwayIsPassedOver) {
  settings_.urls.insert(settings_.urls.begin(), "http://127.0.0.1:1");
  auto index = this->index();
  index->open(1);
  EXPECT_THAT(index->write(std::vector{document(1, 1)}, first), IsEmpty());
  std::swap(settings_.urls[0], settings_.urls[1]);
}

TEST_F(DatabaseSearchIndex, OldTombstonesAreFoundAlone) {
  auto index = this->index();
  index->open(1);
  index->write(std::vector{document(1, 1), gone(2)}, first);
  index->write(std::vector{document(3, 1), gone(4)}, first + 1);
  index->make_visible();
  const auto answer = call("POST", fmt::format("/{}/_delete_by_query?conflicts=proceed&refresh=true", generation()),
                           nlohmann::json{{"query", tombstones_before(first + 1)}}.dump());
  EXPECT_EQ(answer["deleted"], 1);
  EXPECT_EQ(index->inspect(std::vector{gone(4)})[0].version, first + 1);
  EXPECT_EQ(index->inspect(std::vector{gone(2)})[0].version, std::nullopt);
}

}  // namespace
}  // namespace anabranch
