// What librdkafka refuses, as one exception that carries what its caller decides by.
#pragma once

#include <stdexcept>
#include <string>
#include <string_view>

#include <librdkafka/rdkafka.h>

namespace anabranch {

// A call that failed, or trouble that a client reported. The remedy is librdkafka's. In a transaction an error
// without one is to be treated as a fatal one. No secret is ever in the text.
class KafkaError : public std::runtime_error {
 public:
  enum class Remedy : uint8_t {
    none,      // librdkafka names none
    retry,     // the same call may succeed later
    abort,     // the transaction has to be aborted
    recreate,  // fatal: the client is of no use any more
  };
  KafkaError(rd_kafka_resp_err_t code, std::string message, Remedy remedy = Remedy::none);

  rd_kafka_resp_err_t code() const { return code_; }
  // As in Kafka's documentation, without its prefix: "TOPIC_AUTHORIZATION_FAILED"; librdkafka's own begin with "_".
  std::string name() const;
  // librdkafka's words, or the broker's.
  const std::string& message() const { return message_; }
  bool retriable() const { return remedy_ == Remedy::retry; }
  bool fatal() const { return remedy_ == Remedy::recreate; }

 private:
  rd_kafka_resp_err_t code_;
  std::string message_;
  Remedy remedy_;
};

namespace kafka {

// Takes ownership of what a call returned. Throws KafkaError "WHAT: ..." unless that is nullptr, which is success.
void check(rd_kafka_error_t* error, std::string_view what);
// The same for calls that return a code only. With the client at hand a fatal error's cause is told.
void check(rd_kafka_resp_err_t code, std::string_view what, rd_kafka_t* client = nullptr);
// The error as check() would throw it. `error` is not nullptr, and owned by this call.
KafkaError error_from(rd_kafka_error_t* error, std::string_view what);
// The first fatal error that a producer has raised, with its cause, or the error `code` itself.
KafkaError error_from(rd_kafka_resp_err_t code, std::string_view what, rd_kafka_t* client);

}  // namespace kafka
}  // namespace anabranch
