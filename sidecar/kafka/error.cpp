#include "sidecar/kafka/error.hpp"

#include <array>

#include <fmt/format.h>

#include "sidecar/kafka/handle.hpp"

namespace anabranch {

KafkaError::KafkaError(rd_kafka_resp_err_t code, std::string message, Remedy remedy)
    : std::runtime_error(message), code_(code), message_(std::move(message)), remedy_(remedy) {}

std::string KafkaError::name() const {
  return rd_kafka_err2name(code_);
}

namespace kafka {

KafkaError error_from(rd_kafka_error_t* error, std::string_view what) {
  const Handle<rd_kafka_error_t> owned(error);
  auto remedy = KafkaError::Remedy::none;
  if (rd_kafka_error_is_fatal(error) != 0)
    remedy = KafkaError::Remedy::recreate;
  else if (rd_kafka_error_txn_requires_abort(error) != 0)
    remedy = KafkaError::Remedy::abort;
  else if (rd_kafka_error_is_retriable(error) != 0)
    remedy = KafkaError::Remedy::retry;
  return {rd_kafka_error_code(error), fmt::format("{}: {}", what, rd_kafka_error_string(error)), remedy};
}

KafkaError error_from(rd_kafka_resp_err_t code, std::string_view what, rd_kafka_t* client) {
  if (client != nullptr) {
    std::array<char, 512> cause{};
    const auto fatal = rd_kafka_fatal_error(client, cause.data(), cause.size());
    if (fatal != RD_KAFKA_RESP_ERR_NO_ERROR)
      return {fatal, fmt::format("{}: {}", what, cause.data()), KafkaError::Remedy::recreate};
  }
  const auto remedy = code == RD_KAFKA_RESP_ERR__FATAL ? KafkaError::Remedy::recreate : KafkaError::Remedy::none;
  return {code, fmt::format("{}: {}", what, rd_kafka_err2str(code)), remedy};
}

void check(rd_kafka_error_t* error, std::string_view what) {
  if (error != nullptr) throw error_from(error, what);
}

void check(rd_kafka_resp_err_t code, std::string_view what, rd_kafka_t* client) {
  if (code != RD_KAFKA_RESP_ERR_NO_ERROR) throw error_from(code, what, client);
}

}  // namespace kafka
}  // namespace anabranch
