#include "sidecar/index/bulk_writer.hpp"

#include <deque>

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "test/unit/index/search_stub.hpp"

namespace anabranch {
namespace {

using test::bulk_answer;
using test::HttpStub;
using test::opensearch_root;
using test::settings_for;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

// Documents "0", "1", ... of `bytes` bytes each.
class Documents {
 public:
  explicit Documents(int count, std::size_t bytes = 0) {
    content_ = fmt::format(R"({{"t":"{}"}})", std::string(bytes, 'x'));
    for (int id = 0; id < count; ++id)
      list_.push_back({.key = "{}",
                       .id = ids_.emplace_back(std::to_string(id)),
                       .target = {},
                       .member = {},
                       .content = content_,
                       .digest = "d"});
  }
  operator std::span<const Document>() const { return list_; }

 private:
  std::string content_;
  std::deque<std::string> ids_;
  std::vector<Document> list_;
};

// The _id of the items of a request, in order.
std::vector<std::string> ids_of(const std::string& request) {
  constexpr std::string_view before = R"("_id":")";
  std::vector<std::string> ids;
  for (std::size_t at = 0; (at = request.find(before, at)) != std::string::npos;) {
    at += before.size();
    ids.push_back(request.substr(at, request.find('"', at) - at));
  }
  return ids;
}

std::size_t body_bytes(const std::string& request) {
  return request.size() - request.find("\r\n\r\n") - 4;
}

// Hands out batches, and notes what happens to them.
class Batches : public DocumentStream {
 public:
  explicit Batches(std::vector<std::span<const Document>> batches) : batches_(std::move(batches)) {}

  std::optional<std::span<const Document>> next(bool wait) override {
    if (handed_out_ == batches_.size() || (!wait && only_when_waited_for)) return std::nullopt;
    events.push_back(fmt::format("{} handed out", handed_out_));
    return batches_[handed_out_++];
  }
  void finish(std::vector<RefusedDocument> refused) override {
    std::string event = fmt::format("{} finished", finished_++);
    for (const auto& one : refused) event += fmt::format(", {} refused", one.place);
    events.push_back(event);
    refused_of_last = std::move(refused);
  }

  std::vector<std::string> events;
  std::vector<RefusedDocument> refused_of_last;
  bool only_when_waited_for = false;

 private:
  std::vector<std::span<const Document>> batches_;
  std::size_t handed_out_ = 0, finished_ = 0;
};

std::vector<RefusedDocument> write_one(SearchEngine& engine, std::span<const Document> documents) {
  Batches batches({documents});
  BulkWriter(engine, "products-000001-write").write_all(batches, 7);
  return std::move(batches.refused_of_last);
}

class BulkWriterTest : public ::testing::Test {
 protected:
  std::vector<RefusedDocument> write(const IndexSettings& settings, std::span<const Document> documents) {
    SearchEngine engine(settings, stop_);
    engine.connect();
    return write_one(engine, documents);
  }
  std::string failure(const IndexSettings& settings, std::span<const Document> documents) {
    try {
      write(settings, documents);
      return "";
    } catch (const IndexError& error) {
      return (error.kind() == IndexError::Kind::busy      ? "busy: "
              : error.kind() == IndexError::Kind::refused ? "refused: "
                                                          : "unreachable: ") +
             std::string(error.what());
    }
  }

  Stop stop_;
};

TEST_F(BulkWriterTest, NamesAnAliasAndInsistsOnIt) {
  HttpStub stub({opensearch_root, bulk_answer({201, 200})});
  EXPECT_THAT(write(settings_for(stub), Documents(2)), IsEmpty());
  ASSERT_EQ(stub.requests().size(), 2U);
  EXPECT_THAT(stub.requests()[1],
              testing::AllOf(testing::StartsWith(
                                 "POST /products-000001-write/_bulk?require_alias=true&timeout=15000ms&filter_path="),
                             HasSubstr("Content-Type: application/x-ndjson")));
}

TEST_F(BulkWriterTest, NothingToWriteIsNoRequest) {
  HttpStub stub({opensearch_root});
  EXPECT_THAT(write(settings_for(stub), Documents(0)), IsEmpty());
}

TEST_F(BulkWriterTest, OnlyWhatWasPutOffIsSentAgain) {
  HttpStub stub(
      {opensearch_root, bulk_answer({201, 429, 409, 503, 400, 500}), bulk_answer({201, 429, 400}), bulk_answer({200})});
  const auto refused = write(settings_for(stub), Documents(6));
  ASSERT_EQ(refused.size(), 2U);
  EXPECT_EQ(refused[0].place, 4U);
  EXPECT_EQ(refused[0].reason, "stub_exception: says 400");
  EXPECT_EQ(refused[1].place, 5U);
  const auto requests = stub.requests();
  ASSERT_EQ(requests.size(), 4U);
  EXPECT_THAT(ids_of(requests[1]), ElementsAre("0", "1", "2", "3", "4", "5"));
  EXPECT_THAT(ids_of(requests[2]), ElementsAre("1", "3", "5"));
  EXPECT_THAT(ids_of(requests[3]), ElementsAre("3"));
}

TEST_F(BulkWriterTest, LessIsSentWhenTheEngineAsksForIt) {
  HttpStub stub({opensearch_root, HttpStub::answer(429, R"({"error":{"type":"circuit_breaking_exception"}})"),
                 bulk_answer({200, 200}), bulk_answer({200, 200})});
  auto settings = settings_for(stub);
  settings.bulk_bytes_max = 400'000;
  EXPECT_THAT(write(settings, Documents(4, 90'000)), IsEmpty());
  const auto requests = stub.requests();
  ASSERT_EQ(requests.size(), 4U);
  EXPECT_THAT(ids_of(requests[1]), ElementsAre("0", "1", "2", "3"));
  EXPECT_THAT(ids_of(requests[2]), ElementsAre("0", "1"));
  EXPECT_THAT(ids_of(requests[3]), ElementsAre("2", "3"));
  for (std::size_t i = 1; i < requests.size(); ++i) EXPECT_LE(body_bytes(requests[i]), settings.bulk_bytes_max);
}

TEST_F(BulkWriterTest, AllRequestsThatMayBeInFlightHaveWork) {
  HttpStub stub({opensearch_root, bulk_answer({200, 200}), bulk_answer({200, 200})});
  auto settings = settings_for(stub);
  settings.in_flight_max = 2;
  EXPECT_THAT(write(settings, Documents(4, 50'000)), IsEmpty());
  ASSERT_EQ(stub.requests().size(), 3U);
}

TEST_F(BulkWriterTest, TheNextBatchDoesNotWaitForTheOneBefore) {
  HttpStub stub({opensearch_root, bulk_answer({200}), bulk_answer({200}), bulk_answer({200})});
  auto settings = settings_for(stub);
  settings.in_flight_max = 2;
  SearchEngine engine(settings, stop_);
  engine.connect();
  const Documents document(1);
  Batches batches({document, document, document});
  BulkWriter(engine, "a").write_all(batches, 7);
  EXPECT_THAT(batches.events,
              ElementsAre("0 handed out", "1 handed out", "0 finished", "2 handed out", "1 finished", "2 finished"));
}

TEST_F(BulkWriterTest, ABatchThatIsNotReadyIsWaitedFor) {
  HttpStub stub({opensearch_root, bulk_answer({200}), bulk_answer({200})});
  auto settings = settings_for(stub);
  settings.in_flight_max = 2;
  SearchEngine engine(settings, stop_);
  engine.connect();
  const Documents document(1);
  Batches batches({document, document});
  batches.only_when_waited_for = true;
  BulkWriter(engine, "a").write_all(batches, 7);
  EXPECT_THAT(batches.events, ElementsAre("0 handed out", "0 finished", "1 handed out", "1 finished"));
}

TEST_F(BulkWriterTest, BatchesFinishInOrderWithWhatWasRefusedOfEach) {
  HttpStub stub({opensearch_root, bulk_answer({429, 400, 200}), bulk_answer({200}), bulk_answer({200, 400, 200})});
  SearchEngine engine(settings_for(stub), stop_);
  engine.connect();
  const Documents documents(3), none(0);
  Batches batches({documents, none, documents});
  BulkWriter(engine, "a").write_all(batches, 7);
  EXPECT_THAT(batches.events, ElementsAre("0 handed out", "0 finished, 1 refused", "1 handed out", "1 finished",
                                          "2 handed out", "2 finished, 1 refused"));
  EXPECT_THAT(ids_of(stub.requests()[2]), ElementsAre("0"));
}

TEST_F(BulkWriterTest, PatienceEnds) {
  HttpStub stub({opensearch_root, bulk_answer({429}), bulk_answer({429}), bulk_answer({503}), bulk_answer({429}),
                 HttpStub::answer(503, "no"), bulk_answer({429})});
  EXPECT_THAT(failure(settings_for(stub), Documents(1)),
              testing::AllOf(HasSubstr("busy: "), HasSubstr("5 times in a row"), HasSubstr("says 429")));
}

TEST_F(BulkWriterTest, WhatIsTooLargeForTheEngineIsSplit) {
  HttpStub stub(
      {opensearch_root, HttpStub::answer(413, ""), bulk_answer({200}), HttpStub::answer(413, ""), bulk_answer({200})});
  const auto refused = write(settings_for(stub), Documents(3, 1'000));
  ASSERT_EQ(refused.size(), 1U);
  EXPECT_EQ(refused[0].place, 1U);
  EXPECT_THAT(refused[0].reason, HasSubstr("no request of"));
}

TEST_F(BulkWriterTest, FailuresAreTold) {
  const auto failure_of = [&](const std::string& answer) {
    HttpStub stub({opensearch_root, answer});
    return failure(settings_for(stub), Documents(1));
  };
  EXPECT_THAT(failure_of(HttpStub::answer(401, R"({"error":{"type":"security_exception","reason":"who"}})")),
              testing::AllOf(HasSubstr("refused: "), HasSubstr("who")));
  EXPECT_THAT(failure_of(HttpStub::answer(403, "")), HasSubstr("refused: "));
  EXPECT_THAT(failure_of(HttpStub::answer(403, R"({"error":{"type":"cluster_block_exception"}})")),
              HasSubstr("busy: "));
  EXPECT_THAT(failure_of(HttpStub::answer(404, R"({"error":{"type":"index_not_found_exception"}})")),
              HasSubstr("unreachable: "));
  EXPECT_THAT(failure_of(bulk_answer({200, 200})), HasSubstr("cannot be understood"));
  EXPECT_THAT(failure_of("HTTP/1.1 200 x\r\nContent-Length: 100\r\n\r\n{"), HasSubstr("unreachable: "));
  EXPECT_THAT(failure_of(bulk_answer({403})), HasSubstr("refused: "));
}

TEST_F(BulkWriterTest, AnotherNodeTakesOver) {
  // The first node is there to connect to, and gone when it is written to.
  HttpStub second({bulk_answer({200}), bulk_answer({200})});
  auto first = std::make_unique<HttpStub>(std::vector<std::string>{opensearch_root});
  auto settings = settings_for(*first);
  settings.urls.push_back(second.url());
  settings.bulk_bytes_max = 1'000;
  settings.in_flight_max = 2;
  SearchEngine engine(settings, stop_);
  engine.connect();
  first.reset();
  EXPECT_THAT(write_one(engine, Documents(2, 800)), IsEmpty());
  EXPECT_EQ(second.requests().size(), 2U);
}

TEST_F(BulkWriterTest, AStopEndsIt) {
  HttpStub stub({opensearch_root, bulk_answer({429})});
  std::thread other;
  SearchEngine engine(settings_for(stub), stop_);
  engine.connect();
  other = std::thread([&] {
    while (stub.requests().size() < 2) std::this_thread::sleep_for(std::chrono::milliseconds(5));
    stop_.request();
  });
  EXPECT_THROW(write_one(engine, Documents(1)), Interrupted);
  other.join();
}

TEST(BulkFlow, NarrowsAtOnceAndWidensStepByStep) {
  BulkFlow flow(1 << 20, 3);
  EXPECT_EQ(flow.bytes(), 1U << 20);
  EXPECT_EQ(flow.in_flight(), 3);
  flow.pushed_back();
  EXPECT_EQ(flow.bytes(), 1U << 19);
  EXPECT_EQ(flow.in_flight(), 1);
  for (int i = 0; i < 10; ++i) flow.pushed_back();
  EXPECT_EQ(flow.bytes(), BulkFlow::bytes_floor);
  int steps = 0;
  for (; flow.in_flight() < 3 && steps < 100; ++steps) flow.taken();
  EXPECT_EQ(flow.bytes(), 1U << 20);
  EXPECT_GT(steps, 5);
  flow.too_large(1'000);
  EXPECT_EQ(flow.bytes(), 500U);
  for (int i = 0; i < 100; ++i) flow.taken();
  EXPECT_EQ(flow.bytes(), 500U) << "that does not pass";
  for (int i = 0; i < 100; ++i) flow.pushed_back();
  EXPECT_EQ(flow.bytes(), 500U) << "small enough";
  for (int i = 0; i < 20; ++i) flow.too_large(flow.bytes());
  EXPECT_EQ(flow.bytes(), 1U);
}

}  // namespace
}  // namespace anabranch
