#include "sidecar/publish/schema_registry.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "sidecar/publish/format.hpp"
#include "sidecar/publish/producer.hpp"
#include "sidecar/topic/schema_frame.hpp"
#include "test/unit/net/http_stub.hpp"

namespace anabranch {
namespace {

using test::HttpStub;
using testing::HasSubstr;
using testing::Not;

SchemaRegistryOptions options_for(const std::string& url) {
  SchemaRegistryOptions options;
  options.url = url;
  options.timeout = std::chrono::milliseconds(30'000);
  return options;
}

// What registering comes to: "refused: ...", "passes: ...", "format: ...", or the number.
std::string outcome(SchemaRegistry& registry, const std::string& subject = "shop.public.item-value") {
  try {
    return std::to_string(registry.register_schema(subject, SchemaKind::avro, "{}"));
  } catch (const FormatError& error) {
    return std::string("format: ") + error.what();
  } catch (const ProducerError& error) {
    return (error.kind() == ProducerError::Kind::passes ? "passes: " : "refused: ") + std::string(error.what());
  }
}

std::string outcome_of(const std::string& answer) {
  HttpStub stub({answer});
  return outcome(*make_schema_registry(options_for(stub.url())));
}

TEST(SchemaRegistry, RegistersEachSchemaOnce) {
  HttpStub stub({HttpStub::answer(200, R"({"id":7})"), HttpStub::answer(200, R"({"id":8})")});
  auto registry = make_schema_registry(options_for(stub.url() + "/"));
  EXPECT_EQ(registry->register_schema("a/b-key", SchemaKind::avro, R"({"type":"int"})"), 7);
  EXPECT_EQ(registry->register_schema("a/b-key", SchemaKind::avro, R"({"type":"int"})"), 7);
  EXPECT_EQ(registry->register_schema("a/b-key", SchemaKind::protobuf, "message \"x\""), 8);
  const auto requests = stub.requests();
  ASSERT_EQ(requests.size(), 2U);
  EXPECT_THAT(requests[0], HasSubstr("POST /subjects/a%2Fb-key/versions HTTP"));
  EXPECT_THAT(requests[0], HasSubstr("Content-Type: application/vnd.schemaregistry.v1+json"));
  EXPECT_EQ(nlohmann::json::parse(requests[0].substr(requests[0].find("\r\n\r\n"))),
            nlohmann::json::parse(R"({"schema":"{\"type\":\"int\"}"})"));
  EXPECT_EQ(nlohmann::json::parse(requests[1].substr(requests[1].find("\r\n\r\n"))),
            nlohmann::json::parse(R"({"schema":"message \"x\"","schemaType":"PROTOBUF"})"));
}

TEST(SchemaRegistry, TellsWhatPassesFromWhatDoesNot) {
  EXPECT_THAT(outcome_of(HttpStub::answer(409, R"({"error_code":409,"message":"READER_FIELD_MISSING x"})")),
              testing::AllOf(HasSubstr("format: "), HasSubstr("\"shop.public.item-value\" as incompatible"),
                             HasSubstr("READER_FIELD_MISSING x"), HasSubstr("PUT /config/shop.public.item-value")));
  EXPECT_THAT(outcome_of(HttpStub::answer(422, R"({"message":"Invalid schema"})")), HasSubstr("format: "));
  EXPECT_THAT(outcome_of(HttpStub::answer(401, "who are you")), HasSubstr("refused: "));
  EXPECT_THAT(outcome_of(HttpStub::answer(404, "<html>\n</html>")), HasSubstr("refused: "));
  EXPECT_THAT(outcome_of(HttpStub::answer(503, "later")), HasSubstr("passes: "));
  EXPECT_THAT(outcome_of(HttpStub::answer(429, "")), HasSubstr("passes: "));
  EXPECT_THAT(outcome_of("HTTP/1.1 200 x\r\nContent-Length: 100\r\n\r\n{"), HasSubstr("passes: "));
}

TEST(SchemaRegistry, BelievesNoAnswerOfSomethingElse) {
  for (const char* body :
       {"", "hello", "[]", "{}", R"({"id":"7"})", R"({"id":-1})", R"({"id":4294967296})", R"({"id":1.5})"})
    EXPECT_THAT(outcome_of(HttpStub::answer(200, body)), HasSubstr("refused: ")) << body;
  EXPECT_THAT(outcome_of(HttpStub::answer(200, std::string(2 << 20, ' '))), HasSubstr("longer than 1 MB"));
  EXPECT_THAT(outcome_of(HttpStub::answer(302, "", "Location: http://127.0.0.1:1/\r\n")), HasSubstr("refused: "))
      << "redirects are not followed";
}

TEST(SchemaRegistry, AMissingRegistryMayComeBack) {
  std::string url;
  {
    HttpStub gone({});
    url = gone.url();
  }
  EXPECT_THAT(outcome(*make_schema_registry(options_for(url))), HasSubstr("passes: "));
  HttpStub silent({});
  auto options = options_for(silent.url());
  options.timeout = std::chrono::milliseconds(100);
  EXPECT_THAT(outcome(*make_schema_registry(options)), HasSubstr("passes: "));
}

TEST(SchemaRegistry, AWaitCanBeEnded) {
  HttpStub silent({});
  auto options = options_for(silent.url());
  options.timeout = std::chrono::milliseconds(30'000);
  options.while_waiting = [] { throw std::length_error("enough"); };
  EXPECT_THROW(make_schema_registry(options)->register_schema("s", SchemaKind::avro, "{}"), std::length_error);
}

TEST(SchemaRegistry, SendsCredentialsAndNeverShowsThem) {
  HttpStub stub({HttpStub::answer(401, "no"), HttpStub::answer(200, R"({"id":1})")});
  auto options = options_for(stub.url());
  options.user = "me";
  options.password = "s3cret";
  const auto said = outcome(*make_schema_registry(options));
  EXPECT_THAT(said, Not(HasSubstr("s3cret")));
  EXPECT_THAT(stub.requests()[0], HasSubstr("Authorization: Basic bWU6czNjcmV0"));
  options.user.clear();
  options.token = "t0ken";
  EXPECT_EQ(outcome(*make_schema_registry(options)), "1");
  EXPECT_THAT(stub.requests()[1], HasSubstr("Authorization: Bearer t0ken"));
}

TEST(SchemaRegistry, TakesOnlyAddresses) {
  for (const char* url :
       {"", "registry:8081", "ftp://registry", "file:///etc/passwd", "http://", "http://me:pw@registry"})
    EXPECT_THROW(make_schema_registry(options_for(url)), std::invalid_argument) << url;
}

TEST(SchemaRegistry, FramesAreConfluents) {
  std::string out;
  append_schema_frame(out, 0x01020304);
  EXPECT_EQ(out, std::string("\0\1\2\3\4", 5));
  out.clear();
  append_schema_frame(out, 1, 0);
  EXPECT_EQ(out, std::string("\0\0\0\0\1\0", 6));
  out.clear();
  append_schema_frame(out, 1, 1);
  EXPECT_EQ(out, std::string("\0\0\0\0\1\2\2", 7));
}

}  // namespace
}  // namespace anabranch
