// What publishing is made of when it runs: the server, Kafka, the format and the clock that the settings name.
#pragma once

#include <memory>
#include <string>

#include "sidecar/log/slot_log.hpp"
#include "sidecar/publish/pg_content.hpp"
#include "sidecar/publish/pg_source.hpp"
#include "sidecar/publish/publisher.hpp"
#include "sidecar/publish/rdkafka.hpp"
#include "sidecar/run.hpp"
#include "sidecar/stop.hpp"

namespace anabranch {

class RealClock final : public PublishClock {
 public:
  explicit RealClock(const Stop& stop) : stop_(stop) {}
  TimePoint now() override;
  int64_t postgres_time_us() override;
  void sleep(std::chrono::milliseconds time) override;

 private:
  const Stop& stop_;
};

// One session with the server, and the ways to Kafka that go with it. Members refer to each other: it stays where it
// is.
struct RealParts {
  // Connects to the server, which shows `application_name`, and to nothing else yet. `stop` ends every wait. It and
  // `run` must outlive the object, and run.kafka must be there. Throws RunError, PgError, KafkaPropertyError.
  RealParts(const RunSettings& run, const std::string& application_name, const Stop& stop);
  RealParts(const RealParts&) = delete;
  RealParts& operator=(const RealParts&) = delete;

  Publisher::Parts parts() { return {log, *producers, *progress, *topics, source, *format, clock, &content}; }

  const PublisherSettings settings;
  PgSource source;
  const SourceFacts facts;  // of the moment when it connected
  KafkaAccess access;
  const std::unique_ptr<ProducerFactory> producers;
  const std::unique_ptr<TopicAdmin> topics;
  const std::unique_ptr<ProgressStore> progress;
  const std::unique_ptr<RowFormat> format;
  RealClock clock;
  SlotLog log;
  PgContent content;
};

// 16 hexadecimal digits, different each time.
std::string random_run_id();

// To be called in a `catch` block: throws what a run ends with after an exception of publishing, RunError, and any
// other exception again.
[[noreturn]] void throw_as_run_error();

}  // namespace anabranch
