#include "sidecar/net/http_client.hpp"

#include <set>
#include <thread>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "test/unit/net/http_stub.hpp"

namespace anabranch {
namespace {

using namespace std::chrono_literals;
using test::HttpStub;
using testing::HasSubstr;
using testing::Not;

// What a request comes to: the status and the answer, or the kind of error.
std::string outcome(HttpClient& client, HttpRequest request) {
  try {
    const auto answer = client.perform(std::move(request));
    return std::to_string(answer.status) + " " + answer.body;
  } catch (const HttpError& error) {
    switch (error.kind()) {
      case HttpError::Kind::unreachable:
        return "unreachable";
      case HttpError::Kind::no_answer:
        return "no answer";
      case HttpError::Kind::refused:
        return "refused";
      case HttpError::Kind::too_long:
        return "too long";
    }
  }
  return "?";
}

TEST(HttpClient, SendsWhatItIsGiven) {
  HttpStub stub({HttpStub::answer(200, "one"), HttpStub::answer(404, "two"), HttpStub::answer(200, "")});
  HttpClient client({.user = "me", .password = "s3cret"});
  EXPECT_EQ(outcome(client, {.method = "POST", .url = stub.url() + "/a", .body = "{}\n", .headers = {"X-Y: z"}}),
            "200 one");
  EXPECT_EQ(outcome(client, {.url = stub.url() + "/b"}), "404 two");
  EXPECT_EQ(outcome(client, {.method = "DELETE", .url = stub.url()}), "200 ");
  const auto requests = stub.requests();
  EXPECT_THAT(requests[0],
              testing::AllOf(HasSubstr("POST /a HTTP"), HasSubstr("X-Y: z\r\n"), testing::EndsWith("\r\n\r\n{}\n"),
                             HasSubstr("Authorization: Basic bWU6czNjcmV0"), Not(HasSubstr("Expect"))));
  EXPECT_THAT(requests[1], testing::AllOf(HasSubstr("GET /b HTTP"), Not(HasSubstr("X-Y")), Not(HasSubstr("Content"))));
  EXPECT_THAT(requests[2], HasSubstr("DELETE / HTTP"));
}

TEST(HttpClient, TellsWhyThereIsNoAnswer) {
  std::string gone;
  {
    HttpStub stub({});
    gone = stub.url();
  }
  HttpStub stub({HttpStub::answer(200, std::string(2'000, 'x')), "HTTP/1.1 200 x\r\nContent-Length: 9\r\n\r\nx"});
  HttpClient client({.timeout = 100ms, .answer_bytes_max = 1'000});
  EXPECT_EQ(outcome(client, {.url = gone}), "unreachable");
  EXPECT_EQ(outcome(client, {.url = stub.url()}), "too long");
  EXPECT_EQ(outcome(client, {.url = stub.url()}), "no answer") << "cut off";
  EXPECT_EQ(outcome(client, {.url = stub.url()}), "no answer") << "silent";
  EXPECT_EQ(outcome(client, {.url = "ftp://localhost"}), "refused");
  EXPECT_EQ(client.in_flight(), 0U);
}

TEST(HttpClient, HasSeveralRequestsInFlight) {
  HttpStub stub({HttpStub::answer(200, "a"), HttpStub::answer(200, "b"), HttpStub::answer(200, "c")});
  HttpClient client({});
  EXPECT_FALSE(client.wait(1h)) << "nothing to wait for";
  for (const std::size_t tag : {7, 8, 9})
    client.start(tag, {.method = "POST", .url = stub.url(), .body = std::to_string(tag)});
  EXPECT_EQ(client.in_flight(), 3U);
  std::set<std::string> ended;
  while (client.in_flight() > 0)
    if (const auto outcome = client.wait(30s))
      ended.insert(outcome->request.body + (outcome->tag == std::stoul(outcome->request.body) ? "" : " is another"));
  EXPECT_THAT(ended, testing::ElementsAre("7", "8", "9"));
}

TEST(HttpClient, EndsItsWaits) {
  HttpStub silent({});
  Stop stop;
  HttpClient client({.timeout = 30s, .stop = &stop});
  client.start(1, {.url = silent.url()});
  EXPECT_FALSE(client.wait(10ms));
  std::thread other([&] { stop.request(); });
  EXPECT_THROW(client.wait(30s), Interrupted);
  other.join();
  client.cancel();
  EXPECT_EQ(client.in_flight(), 0U);
  EXPECT_THROW(client.perform({.url = silent.url()}), Interrupted);

  HttpClient calling({.timeout = 30s, .while_waiting = [] { throw std::length_error("enough"); }});
  EXPECT_THROW(calling.perform({.url = silent.url()}), std::length_error);
}

TEST(HttpClient, TakesOnlyAddresses) {
  EXPECT_EQ(http_base("https://search:9200//", "a search engine", "x"), "https://search:9200");
  for (const char* url : {"", "search:9200", "ftp://search", "http://", "https:///", "http://me:pw@search"})
    EXPECT_THROW(http_base(url, "a search engine", "http://search:9200"), std::invalid_argument) << url;
  EXPECT_EQ(url_escaped("a-b_c.d~e"), "a-b_c.d~e");
  EXPECT_EQ(url_escaped("a/b?\xc3\xa4 \n"), "a%2Fb%3F%C3%A4%20%0A");
}

}  // namespace
}  // namespace anabranch
