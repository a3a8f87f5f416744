#include "sidecar/index/document_sender.hpp"

#include <atomic>
#include <chrono>
#include <cstring>
#include <thread>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <libpq-fe.h>

namespace anabranch {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;
using Former = DocumentSender::Former;
using namespace std::chrono_literals;

// As the extension hands them out: {key, content}, nullptr for one that is to be gone.
DocumentBatch batch_of(const std::vector<std::pair<const char*, const char*>>& documents) {
  PGresult* result = PQmakeEmptyPGresult(nullptr, PGRES_TUPLES_OK);
  std::vector<PGresAttDesc> attributes;
  for (const char* name : {"key", "id", "target", "member", "content", "digest", "rows"})
    attributes.push_back({const_cast<char*>(name), 0, 0, 0, 25, -1, -1});
  PQsetResultAttrs(result, static_cast<int>(attributes.size()), attributes.data());
  for (int row = 0; row < static_cast<int>(documents.size()); ++row) {
    const auto& [key, content] = documents[static_cast<std::size_t>(row)];
    int column = 0;
    for (const char* value : {key, key, "", "", content, content ? "d" : nullptr, "1"})
      PQsetvalue(result, row, column++, const_cast<char*>(value), value ? static_cast<int>(strlen(value)) : -1);
  }
  return DocumentBatch(Result(result));
}

const auto later = std::chrono::steady_clock::now() + 1h;

// Takes everything but documents that say why they are to be refused: "no" and more.
class FakeIndex : public ExternalIndex {
 public:
  OpenedIndex open(uint64_t) override { return {}; }
  void write_all(DocumentStream& stream, IndexVersion) override {
    while (const auto documents = stream.next(true)) {
      if (looks_ahead) {
        EXPECT_FALSE(stream.next(false));
      }
      stream.finish(take(*documents));
    }
  }
  std::vector<RefusedDocument> take(std::span<const Document> documents) {
    writes = true;
    while (held) std::this_thread::sleep_for(1ms);
    std::vector<RefusedDocument> refused;
    for (std::size_t place = 0; place < documents.size(); ++place) {
      const Document& document = documents[place];
      written.emplace_back(document.key);
      if (document.content == "fail") throw IndexError(IndexError::Kind::unreachable, "away", "");
      if (document.content && (document.content->starts_with(refused_word))) refused.push_back({place, "not this"});
      if (!document.content && document.key == refused_key) refused.push_back({place, "not this"});
    }
    return refused;
  }
  void make_visible() override {}
  std::chrono::milliseconds visible_within() const override { return 0ms; }
  std::vector<FoundDocument> inspect(std::span<const Document>) override { return {}; }
  HeldPage scan(const std::string&) override { return {}; }
  std::vector<HeldDocument> extra(const HeldPage&, std::span<const Document>) override { return {}; }
  bool side_by_side() const override { return true; }
  void publish() override {}
  void drop() override {}

  std::string refused_word = "no", refused_key = "never";
  std::atomic<bool> held{false}, writes{false};
  bool looks_ahead = false;  // and is to get nothing
  std::vector<std::string> written;
};

std::vector<std::string> keys_of(const std::vector<ParkedDocument>& parked) {
  std::vector<std::string> keys;
  for (const auto& document : parked) keys.push_back(document.key);
  return keys;
}

TEST(DocumentSender, WritesInOrderAndTellsWhatCameOfIt) {
  FakeIndex index;
  DocumentSender sender(index, nullptr, 7, true);
  sender.send(batch_of({{"a", "1"}, {"b", "no"}}), Former::written, later);
  sender.send(batch_of({}), Former::left, later);
  sender.send(batch_of({{"c", "2"}, {"never", nullptr}, {"e", nullptr}}), Former::left, later);
  const Sent sent = sender.finish();
  EXPECT_THAT(index.written, ElementsAre("a", "b", "c", "never", "e"));
  EXPECT_EQ(sent.documents, 5);
  EXPECT_THAT(keys_of(sent.parked), ElementsAre("b"));
  EXPECT_EQ(sent.parked[0].bytes, 2);
  EXPECT_EQ(sent.parked[0].reason, "not this");
  EXPECT_THAT(sent.taken, ElementsAre("a", "c", "never", "e"));
}

TEST(DocumentSender, GoesOnAfterItHasFinished) {
  FakeIndex index;
  DocumentSender sender(index, nullptr, 7, false);
  EXPECT_EQ(sender.finish().documents, 0);
  sender.send(batch_of({{"a", "1"}}), Former::left, later);
  EXPECT_THAT(sender.finish().parked, IsEmpty());
  sender.send(batch_of({{"b", "no"}}), Former::left, later);
  const Sent sent = sender.finish();
  EXPECT_THAT(index.written, ElementsAre("a", "b"));
  EXPECT_EQ(sent.documents, 1);
  EXPECT_THAT(keys_of(sent.parked), ElementsAre("b"));
  EXPECT_THAT(sent.taken, IsEmpty());
}

TEST(DocumentSender, KeepsNoMoreThanTwoBatchesOnTheirWay) {
  FakeIndex index;
  index.held = true;
  DocumentSender sender(index, nullptr, 7, false);
  std::atomic<int> accepted{0};
  std::thread reader([&] {
    for (; accepted < 3; ++accepted) sender.send(batch_of({{"a", "1"}}), Former::left, later);
  });
  while (accepted < 2) std::this_thread::sleep_for(1ms);
  std::this_thread::sleep_for(50ms);
  EXPECT_EQ(accepted, 2);
  index.held = false;
  reader.join();
  sender.finish();
  EXPECT_EQ(index.written.size(), 3U);
}

TEST(DocumentSender, WaitsNoLongerThanItMay) {
  FakeIndex index;
  index.held = true;
  DocumentSender sender(index, nullptr, 7, false);
  for (const char* key : {"a", "b", "c"})
    sender.send(batch_of({{key, "1"}}), Former::left, std::chrono::steady_clock::now() + 10ms);
  EXPECT_THAT(index.written, IsEmpty());
  index.held = false;
  EXPECT_EQ(sender.finish().documents, 3);
  EXPECT_THAT(index.written, ElementsAre("a", "b", "c"));
}

TEST(DocumentSender, ThrowsWhatTheIndexHasThrown) {
  FakeIndex index;
  {
    DocumentSender sender(index, nullptr, 7, false);
    sender.send(batch_of({{"a", "fail"}}), Former::left, later);
    EXPECT_THROW(sender.finish(), IndexError);
  }
  DocumentSender sender(index, nullptr, 7, false);
  EXPECT_THROW(
      {
        for (int i = 0; i < 10; ++i) sender.send(batch_of({{"a", "fail"}}), Former::left, later);
      },
      IndexError);
}

TEST(DocumentSender, GivesUpWhatHasNotBegun) {
  FakeIndex index;
  index.held = true;
  std::thread release;
  {
    DocumentSender sender(index, nullptr, 7, false);
    sender.send(batch_of({{"a", "1"}}), Former::left, later);
    sender.send(batch_of({{"b", "1"}}), Former::left, later);
    while (!index.writes) std::this_thread::sleep_for(1ms);
    release = std::thread([&] {
      std::this_thread::sleep_for(50ms);
      index.held = false;
    });
  }
  release.join();
  EXPECT_THAT(index.written, ElementsAre("a"));
}

TEST(DocumentSender, TellsWhatOnlyTheFormerGenerationRefuses) {
  const auto former_refuses = [](const char* content, bool to_former) {
    FakeIndex index, former;
    former.refused_word = "n";  // takes less
    DocumentSender sender(index, &former, 7, false);
    sender.send(batch_of({{"a", content}, {"never", nullptr}}), to_former ? Former::written : Former::left, later);
    const Sent sent = sender.finish();
    EXPECT_EQ(former.written.size(), to_former ? 2U : 0U);
    return sent.former_refuses;
  };
  EXPECT_TRUE(former_refuses("new", true));
  EXPECT_FALSE(former_refuses("new", false));
  EXPECT_FALSE(former_refuses("no", true));
  EXPECT_FALSE(former_refuses("yes", true));
}

// Nobody attends to what is on its way meanwhile.
TEST(DocumentSender, WritesTheFormerGenerationWhenNothingIsOnItsWay) {
  FakeIndex index, former;
  index.looks_ahead = true;
  DocumentSender sender(index, &former, 7, false);
  for (const char* key : {"a", "b", "c"}) sender.send(batch_of({{key, "1"}}), Former::written, later);
  EXPECT_EQ(sender.finish().documents, 3);
  EXPECT_THAT(index.written, ElementsAre("a", "b", "c"));
  EXPECT_THAT(former.written, ElementsAre("a", "b", "c"));
}

}  // namespace
}  // namespace anabranch
