// What needs no broker. A real one is in test/e2e.
#include "sidecar/kafka/client.hpp"

#include <chrono>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace anabranch {
namespace {

using namespace std::chrono_literals;
using ::testing::HasSubstr;
using ::testing::Not;

// Nothing listens on port 1.
const KafkaProperties nowhere = {{"bootstrap.servers", "127.0.0.1:1"}, {"client.id", "test"}};

KafkaClientOptions producer(KafkaProperties properties = nowhere) {
  return {.type = RD_KAFKA_PRODUCER, .properties = std::move(properties), .ours = {}, .delivered = {}, .sent = {}};
}

template <class Error>
std::string refusal(const KafkaClientOptions& options) {
  try {
    KafkaClient client(options);
  } catch (const Error& error) {
    return error.what();
  }
  return "not refused";
}

TEST(KafkaClient, AppliesProperties) {
  auto options = producer();
  options.ours = {{"enable.idempotence", "true"}, {"acks", "all"}};
  const KafkaClient client(options);
  char value[64];
  size_t size = sizeof value;
  ASSERT_EQ(rd_kafka_conf_get(rd_kafka_conf(client.handle()), "enable.idempotence", value, &size), RD_KAFKA_CONF_OK);
  EXPECT_STREQ(value, "true");
  EXPECT_THAT(rd_kafka_name(client.handle()), HasSubstr("test#producer"));
}

TEST(KafkaClient, RefusesAnUnknownProperty) {
  EXPECT_THAT(refusal<KafkaPropertyError>(producer({{"bootstrap.servrs", "a"}})),
              AllOf(HasSubstr("\"bootstrap.servrs\""), HasSubstr("no such property")));
}

TEST(KafkaClient, RefusesAValueWithItsReason) {
  EXPECT_THAT(refusal<KafkaPropertyError>(producer({{"linger.ms", "soon"}})), HasSubstr("\"linger.ms\""));
}

TEST(KafkaClient, RefusesPropertiesThatDoNotGoTogether) {
  EXPECT_THAT(refusal<KafkaError>(producer({{"transactional.id", "t"}, {"message.timeout.ms", "90000"}})),
              HasSubstr("message.timeout.ms"));
}

TEST(KafkaClient, RefusesACaFileThatIsMissing) {
  EXPECT_THAT(refusal<KafkaError>(producer({{"security.protocol", "ssl"}, {"ssl.ca.location", "/does/not/exist"}})),
              HasSubstr("ssl.ca.location"));
}

TEST(KafkaClient, NeverTellsASecret) {
  const auto text = refusal<KafkaError>(
      producer({{"security.protocol", "ssl"}, {"ssl.key.pem", "hunter2"}, {"ssl.key.password", "hunter2"}}));
  EXPECT_THAT(text, AllOf(Not(HasSubstr("hunter2")), Not(HasSubstr("not refused"))));
}

TEST(KafkaClient, HearsThatNobodyAnswers) {
  KafkaClient client(producer());
  EXPECT_FALSE(client.trouble());
  for (int i = 0; i < 200 && !client.trouble(); ++i) client.poll(50ms);
  ASSERT_TRUE(client.trouble());
  EXPECT_EQ(client.trouble()->code(), RD_KAFKA_RESP_ERR__TRANSPORT) << client.trouble()->name();
  EXPECT_THAT(client.trouble()->message(), HasSubstr("127.0.0.1:1"));
  EXPECT_FALSE(client.trouble()->fatal());
  EXPECT_FALSE(client.fatal_error());
  client.clear_trouble();
  EXPECT_FALSE(client.trouble());
}

TEST(KafkaClient, SaysWhyThereIsNoClusterId) {
  KafkaClient client(producer());
  try {
    client.cluster_id(1000ms);
    FAIL() << "there is no broker";
  } catch (const KafkaError& error) {
    EXPECT_THAT(error.message(), HasSubstr("127.0.0.1:1"));
  }
}

TEST(KafkaClient, ReportsWhatBecameOfAMessage) {
  auto options = producer({{"bootstrap.servers", "127.0.0.1:1"}, {"message.timeout.ms", "50"}});
  rd_kafka_resp_err_t fate = RD_KAFKA_RESP_ERR_NO_ERROR;
  options.delivered = [&](const rd_kafka_message_t& message) { fate = message.err; };
  KafkaClient client(options);
  kafka::check(rd_kafka_producev(client.handle(), RD_KAFKA_V_TOPIC("t"), RD_KAFKA_V_VALUE(const_cast<char*>("v"), 1),
                                 RD_KAFKA_V_END),
               "produce");
  for (int i = 0; i < 200 && fate == RD_KAFKA_RESP_ERR_NO_ERROR; ++i) client.poll(50ms);
  EXPECT_EQ(fate, RD_KAFKA_RESP_ERR__MSG_TIMED_OUT);
}

TEST(KafkaClient, KnowsItsFatalError) {
  KafkaClient client(producer({{"bootstrap.servers", "127.0.0.1:1"}, {"enable.idempotence", "true"}}));
  rd_kafka_test_fatal_error(client.handle(), RD_KAFKA_RESP_ERR_OUT_OF_ORDER_SEQUENCE_NUMBER, "planted");
  ASSERT_TRUE(client.fatal_error());
  EXPECT_TRUE(client.fatal_error()->fatal());
  EXPECT_EQ(client.fatal_error()->name(), "OUT_OF_ORDER_SEQUENCE_NUMBER");
  try {
    kafka::check(RD_KAFKA_RESP_ERR__FATAL, "flush", client.handle());
    FAIL() << "no error";
  } catch (const KafkaError& error) {
    EXPECT_TRUE(error.fatal());
    EXPECT_EQ(error.code(), RD_KAFKA_RESP_ERR_OUT_OF_ORDER_SEQUENCE_NUMBER);
    EXPECT_THAT(error.message(), AllOf(HasSubstr("flush: "), HasSubstr("planted")));
  }
}

TEST(KafkaError, KeepsCodeAndFlags) {
  try {
    kafka::check(rd_kafka_error_new(RD_KAFKA_RESP_ERR__TIMED_OUT, "too slow"), "commit");
    FAIL() << "no error";
  } catch (const KafkaError& error) {
    EXPECT_EQ(error.name(), "_TIMED_OUT");
    EXPECT_STREQ(error.what(), "commit: too slow");
    EXPECT_FALSE(error.retriable() || error.fatal());
  }
  EXPECT_NO_THROW(kafka::check(static_cast<rd_kafka_error_t*>(nullptr), "commit"));
  EXPECT_NO_THROW(kafka::check(RD_KAFKA_RESP_ERR_NO_ERROR, "poll"));
  EXPECT_THROW(kafka::check(RD_KAFKA_RESP_ERR__STATE, "poll"), KafkaError);
}

}  // namespace
}  // namespace anabranch
