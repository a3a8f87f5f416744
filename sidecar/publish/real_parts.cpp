#include "sidecar/publish/real_parts.hpp"

#include <algorithm>
#include <array>
#include <random>
#include <stdexcept>

#include <fmt/format.h>

#include "sidecar/home.hpp"
#include "sidecar/kafka/error.hpp"
#include "sidecar/pg/epoch.hpp"
#include "sidecar/publish/make_format.hpp"
#include "sidecar/value_file.hpp"

namespace anabranch {
namespace {

PublisherSettings publisher_settings(const RunSettings& settings) {
  const KafkaSettings& kafka = *settings.kafka;
  PublisherSettings publisher;
  publisher.source = settings.source;
  publisher.slot = settings.slot;
  publisher.instance = kafka.instance;
  publisher.prefix = kafka.prefix;
  publisher.topics = kafka.topics;
  publisher.keyless_full_row = kafka.keyless_full_row;
  publisher.oversize_fragment = kafka.oversize_fragment;
  publisher.content = kafka.content;
  publisher.content_of = kafka.content_of;
  publisher.message_prefixes = kafka.messages;
  publisher.latest_tables = kafka.latest_tables;
  publisher.table_topics = kafka.table_topics;
  publisher.wal_keep_limit_bytes = settings.wal_keep_limit_bytes;
  // A batch has a header of its own, of some 60 bytes, and librdkafka is careful.
  publisher.record_bytes_max = std::max<size_t>(message_bytes_max(kafka.properties), 2'000) - 512;
  return publisher;
}

ConnectOptions source_options(const RunSettings& settings, const std::string& application_name, const Stop& stop) {
  ConnectOptions options = home_options(settings);
  options.application_name = application_name;
  options.stop = &stop;
  return options;
}

SourceFacts first_facts(PgSource& source) {
  check_server(source.connection());
  return source.facts(0);
}

KafkaAccess access_of(const RunSettings& settings, const std::string& system_identifier) {
  const KafkaSettings& kafka = *settings.kafka;
  KafkaAccess access;
  access.properties = kafka.properties;
  access.transactional_id = transactional_id(kafka.prefix, settings.source, system_identifier, kafka.instance);
  return access;
}

SchemaRegistryOptions registry_of(const KafkaSettings& kafka) {
  const auto read = [](const char* setting, const std::string& path) {
    if (path.empty()) return std::string();
    try {
      return read_value_file(path, true);
    } catch (const ValueFileError& error) {
      throw RunError(RunError::Kind::configuration,
                     fmt::format("kafka.{}: {}; {}", setting, error.problem(), error.remedy()));
    }
  };
  SchemaRegistryOptions options;
  options.url = kafka.schema_registry;
  options.user = kafka.schema_registry_user;
  options.password = read("schema_registry_password_file", kafka.schema_registry_password_file);
  options.token = read("schema_registry_token_file", kafka.schema_registry_token_file);
  options.tls = {.ca = kafka.schema_registry_ca_file,
                 .certificate = kafka.schema_registry_certificate_file,
                 .key = kafka.schema_registry_key_file};
  return options;
}

std::unique_ptr<RowFormat> format_of(const KafkaSettings& kafka, const std::string& database,
                                     const KafkaAccess& access) {
  FormatSettings format;
  format.format = kafka.format;
  format.server = kafka.prefix;
  format.database = database;
  format.times = kafka.times_adaptive ? TimeMode::adaptive : TimeMode::iso;
  format.registry = registry_of(kafka);
  format.registry.while_waiting = [&access] {
    if (access.while_waiting) access.while_waiting();
  };
  try {
    return make_format(format);
  } catch (const std::invalid_argument& error) {
    throw RunError(RunError::Kind::configuration, error.what());
  }
}

// Which of the program's exit codes a stop is.
RunError::Kind kind_of(const PublishStopped& stopped) {
  static constexpr std::array<std::string_view, 12> lost = {
      "gap",      "progress_lost", "progress_fell", "slot_missing", "slot_lost",      "topic_lost",
      "diverged", "older_server",  "other_history", "other_system", "replay_differs", "wal_keep_limit"};
  if (stopped.reason() == "fenced") return RunError::Kind::fenced;
  if (std::find(lost.begin(), lost.end(), stopped.reason()) != lost.end()) return RunError::Kind::log_lost;
  return RunError::Kind::configuration;
}

}  // namespace

PublishClock::TimePoint RealClock::now() {
  return std::chrono::steady_clock::now();
}

int64_t RealClock::postgres_time_us() {
  const auto now = std::chrono::system_clock::now().time_since_epoch();
  return std::chrono::duration_cast<std::chrono::microseconds>(now).count() - micros_to_postgres_epoch;
}

void RealClock::sleep(std::chrono::milliseconds time) {
  if (stop_.wait(time)) throw Interrupted();
}

RealParts::RealParts(const RunSettings& run, const std::string& application_name, const Stop& stop)
    : settings(publisher_settings(run)),
      source(source_options(run, application_name, stop), run.slot, run.source, settings.prefix),
      facts(first_facts(source)),
      access(access_of(run, facts.system_identifier)),
      producers(make_rdkafka_producers(access)),
      topics(make_rdkafka_topics(access, settings.topics)),
      progress(make_rdkafka_progress(access, *topics, TopicNames(settings.prefix).progress())),
      format(format_of(*run.kafka, source.database(), access)),
      clock(stop),
      log(slot_log_options(run, source_options(run, application_name, stop))),
      content(source.connection(), home_options(run), run.publication, run.value_bytes_max,
              settings.oversize_fragment ? run.value_bytes_max : settings.record_bytes_max) {}

std::string random_run_id() {
  std::random_device random;
  return fmt::format("{:08x}{:08x}", random(), random());
}

void throw_as_run_error() {
  try {
    throw;
  } catch (const PublishStopped& stopped) {
    throw RunError(kind_of(stopped), fmt::format("publishing stops ({}): {}", stopped.reason(), stopped.what()));
  } catch (const KafkaPropertyError& error) {
    throw RunError(RunError::Kind::configuration,
                   fmt::format("[kafka.properties] {}: {}; {}", error.property(), error.problem(), error.remedy()));
  } catch (const KafkaError& error) {
    throw RunError(RunError::Kind::configuration,
                   fmt::format("the settings of Kafka's client are refused: {}", error.what()));
  } catch (const ProducerError& error) {
    throw RunError(RunError::Kind::configuration, error.what());
  }
}

}  // namespace anabranch
