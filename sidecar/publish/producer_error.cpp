#include <fmt/format.h>

#include <string_view>

#include "sidecar/kafka/error.hpp"
#include "sidecar/publish/rdkafka.hpp"

namespace anabranch {
namespace {

using Kind = ProducerError::Kind;

struct Verdict {
  Kind kind = Kind::passes;
  std::string_view remedy;
};

Verdict verdict_on(const KafkaError& error) {
  switch (error.code()) {
    case RD_KAFKA_RESP_ERR__FENCED:
    case RD_KAFKA_RESP_ERR_PRODUCER_FENCED:
    case RD_KAFKA_RESP_ERR_INVALID_PRODUCER_EPOCH:
      return {Kind::fenced, ""};
    case RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE:
    case RD_KAFKA_RESP_ERR_RECORD_LIST_TOO_LARGE:
    case RD_KAFKA_RESP_ERR_INVALID_MSG_SIZE:
      return {Kind::too_large,
              "raise max.message.bytes of the topic (message.max.bytes of the brokers), or lower message.max.bytes in "
              "[kafka.properties] so that kafka.oversize decides"};
    case RD_KAFKA_RESP_ERR__AUTHENTICATION:
    case RD_KAFKA_RESP_ERR_SASL_AUTHENTICATION_FAILED:
      return {Kind::refused, "correct sasl.mechanism, sasl.username and sasl.password in [kafka.properties]"};
    case RD_KAFKA_RESP_ERR_UNSUPPORTED_SASL_MECHANISM:
      return {Kind::refused, "set sasl.mechanism in [kafka.properties] to one that the brokers offer"};
    case RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED:
      return {
          Kind::refused,
          "grant Read, Write, Describe and, for topics to be made, Create on the topics that begin with the prefix"};
    case RD_KAFKA_RESP_ERR_TRANSACTIONAL_ID_AUTHORIZATION_FAILED:
      return {Kind::refused, "grant Write and Describe on transactional ids that begin with \"anabranch-<prefix>-\""};
    case RD_KAFKA_RESP_ERR_CLUSTER_AUTHORIZATION_FAILED:
      return {Kind::refused,
              "grant IdempotentWrite on the cluster, and Create on the topics that begin with the prefix"};
    case RD_KAFKA_RESP_ERR__UNSUPPORTED_FEATURE:
    case RD_KAFKA_RESP_ERR_UNSUPPORTED_VERSION:
    case RD_KAFKA_RESP_ERR_UNSUPPORTED_FOR_MESSAGE_FORMAT:
      return {Kind::refused, "the brokers are too old: publishing needs transactions, which Kafka has from 0.11 on"};
    case RD_KAFKA_RESP_ERR_INVALID_TRANSACTION_TIMEOUT:
      return {Kind::refused, "raise transaction.max.timeout.ms of the brokers to 60000 at least"};
    case RD_KAFKA_RESP_ERR_INVALID_REPLICATION_FACTOR:
      return {Kind::refused, "set kafka.replication_factor to no more than there are brokers"};
    case RD_KAFKA_RESP_ERR_TOPIC_EXCEPTION:
      return {Kind::refused,
              "to Kafka \".\" and \"_\" in names of topics are one: choose another topic for the table, with "
              "[kafka.table.\"schema.table\"] topic = \"NAME\""};
    case RD_KAFKA_RESP_ERR_POLICY_VIOLATION:
    case RD_KAFKA_RESP_ERR_INVALID_CONFIG:
    case RD_KAFKA_RESP_ERR__INVALID_ARG:
      return {Kind::refused, "look at the settings in [kafka] and at the brokers' policies"};
    case RD_KAFKA_RESP_ERR__SSL:
      // A certificate that does not fit stays so; a connection cut in the middle of a handshake does not.
      if (error.message().find("certificate") != std::string::npos)
        return {Kind::refused,
                "name the authority that signed the brokers' certificates: ssl.ca.location in [kafka.properties]"};
      return {};
    default:
      return {};
  }
}

}  // namespace

ProducerError producer_error(const KafkaError& error) {
  const Verdict verdict = verdict_on(error);
  std::string text = fmt::format("{} ({})", error.what(), error.name());
  if (!verdict.remedy.empty()) text += fmt::format("; {}", verdict.remedy);
  return {verdict.kind, text};
}

}  // namespace anabranch
