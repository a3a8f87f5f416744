#include "sidecar/kafka/client.hpp"

#include <array>
#include <memory>
#include <utility>

#include <fmt/format.h>

#include "sidecar/logging.hpp"

namespace anabranch {
namespace {

// A broker that is away is nothing the program ends of: none of librdkafka's lines is an error of ours.
void log_callback(const rd_kafka_t* client, int level, const char* facility, const char* text) {
  constexpr int syslog_warning = 4, syslog_notice = 5;
  const auto ours = level <= syslog_warning  ? LogLevel::warning
                    : level <= syslog_notice ? LogLevel::info
                                             : LogLevel::debug;
  log_line(ours, "kafka client", {{"facility", facility}, {"text", text}, {"client", rd_kafka_name(client)}});
}

void set(rd_kafka_conf_t* configuration, const std::string& name, const std::string& value) {
  std::array<char, 512> reason{};
  const auto result = rd_kafka_conf_set(configuration, name.c_str(), value.c_str(), reason.data(), reason.size());
  if (result == RD_KAFKA_CONF_OK) return;
  if (result == RD_KAFKA_CONF_UNKNOWN)
    throw KafkaPropertyError(name, "librdkafka has no such property",
                             fmt::format("see the list of version {}, or leave it out", rd_kafka_version_str()));
  throw KafkaPropertyError(name, is_secret_property(name) ? "its value is refused" : reason.data(),
                           "correct its value");
}

}  // namespace

KafkaClient::KafkaClient(KafkaClientOptions options)
    : delivered_(std::move(options.delivered)), sent_(std::move(options.sent)) {
  kafka::Configuration configuration(rd_kafka_conf_new());
  for (const auto& [name, value] : merged(with_files_read(options.properties), options.ours))
    set(configuration.get(), name, value);

  rd_kafka_conf_set_opaque(configuration.get(), this);
  rd_kafka_conf_set_log_cb(configuration.get(), log_callback);
  rd_kafka_conf_set_error_cb(configuration.get(), [](rd_kafka_t* client, int code, const char* text, void* self) {
    const auto error = static_cast<rd_kafka_resp_err_t>(code);
    static_cast<KafkaClient*>(self)->note_trouble(
        error == RD_KAFKA_RESP_ERR__FATAL ? kafka::error_from(error, "kafka", client) : KafkaError(error, text));
  });
  if (delivered_ && options.type == RD_KAFKA_PRODUCER)
    rd_kafka_conf_set_dr_msg_cb(configuration.get(), [](rd_kafka_t*, const rd_kafka_message_t* message, void* self) {
      static_cast<KafkaClient*>(self)->delivered_(*message);
    });

  if (sent_)
    kafka::check(rd_kafka_conf_interceptor_add_on_new(configuration.get(), "anabranch", watch_requests, this),
                 "watching requests", nullptr);

  std::array<char, 512> reason{};
  handle_.reset(rd_kafka_new(options.type, configuration.get(), reason.data(), reason.size()));
  if (!handle_) throw KafkaError(rd_kafka_last_error(), fmt::format("kafka client: {}", reason.data()));
  static_cast<void>(configuration.release());  // the client's from now on
}

rd_kafka_resp_err_t KafkaClient::watch_requests(rd_kafka_t* client, const rd_kafka_conf_t*, void* self, char*, size_t) {
  return rd_kafka_interceptor_add_on_request_sent(
      client, "anabranch",
      [](rd_kafka_t*, int, const char*, int32_t, int16_t api, int16_t, int32_t, size_t, void* watcher) {
        static_cast<KafkaClient*>(watcher)->sent_(api);
        return RD_KAFKA_RESP_ERR_NO_ERROR;
      },
      self);
}

std::optional<KafkaError> KafkaClient::trouble() const {
  const std::lock_guard lock(mutex_);
  return trouble_;
}

void KafkaClient::clear_trouble() {
  const std::lock_guard lock(mutex_);
  trouble_.reset();
}

void KafkaClient::note_trouble(KafkaError error) {
  const std::lock_guard lock(mutex_);
  // "All brokers are down" follows its reason, and tells less.
  if (error.code() == RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN && trouble_) return;
  trouble_ = std::move(error);
}

std::optional<KafkaError> KafkaClient::fatal_error() const {
  std::array<char, 512> cause{};
  const auto code = rd_kafka_fatal_error(handle(), cause.data(), cause.size());
  if (code == RD_KAFKA_RESP_ERR_NO_ERROR) return std::nullopt;
  return KafkaError(code, cause.data(), KafkaError::Remedy::recreate);
}

std::string KafkaClient::cluster_id(std::chrono::milliseconds time) {
  const auto freed = [this](char* text) { rd_kafka_mem_free(handle(), text); };
  const std::unique_ptr<char, decltype(freed)> id(rd_kafka_clusterid(handle(), static_cast<int>(time.count())), freed);
  if (id) return id.get();
  if (rd_kafka_type(handle()) == RD_KAFKA_PRODUCER) poll(std::chrono::milliseconds(0));  // hears of the trouble
  if (const auto known = trouble()) throw KafkaError(*known);
  throw KafkaError(RD_KAFKA_RESP_ERR__TIMED_OUT, fmt::format("no broker answered within {} ms", time.count()),
                   KafkaError::Remedy::retry);
}

}  // namespace anabranch
