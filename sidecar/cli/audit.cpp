#include "sidecar/cli/audit.hpp"

#include <chrono>

#include <fmt/format.h>

#include "sidecar/cli/names.hpp"
#include "sidecar/cli/units.hpp"
#include "sidecar/cli/with_topics.hpp"
#include "sidecar/log/topic_audit.hpp"

namespace anabranch {
namespace {

using Clock = std::chrono::steady_clock;
using namespace std::chrono_literals;

constexpr auto progress_interval = 2s;

int64_t signed_of(uint64_t count) {
  return static_cast<int64_t>(count);
}

void print_progress(const AuditReport& report) {
  const int64_t percent = report.end <= 0 ? 100 : std::min<int64_t>(100, report.offset * 100 / report.end);
  fmt::print("{}, {}, up to {} ({} %)\n", format_count(signed_of(report.transactions), "transaction"),
             format_count(signed_of(report.records), "record"), report.last.to_string(), percent);
  std::fflush(stdout);
}

void print_verdict(const AuditReport& report, Clock::duration took) {
  fmt::print("\nwhole: {} with {}, and {}, after {} up to {}, in {}\n",
             format_count(signed_of(report.transactions), "transaction"),
             format_count(signed_of(report.records), "record"), format_count(signed_of(report.positions), "position"),
             report.first.to_string(), report.last.to_string(),
             format_duration(std::chrono::duration_cast<std::chrono::milliseconds>(took)));
  if (report.rows > 0) fmt::print("beside them, {} that existed\n", format_count(signed_of(report.rows), "row"));
  if (report.expired > 0)
    fmt::print("before that, {} of which retention has removed something\n",
               format_count(signed_of(report.expired), "unit"));
  if (report.accepted_losses > 0)
    fmt::print("{}: changes are missing where the source was adopted\n",
               format_count(signed_of(report.accepted_losses), "accepted loss"));
  if (report.unfinished > 0)
    fmt::print("after that, {} of a transaction that is being published\n",
               format_count(signed_of(report.unfinished), "part"));
}

}  // namespace

int audit(const Settings& given) {
  Settings settings = given;
  // A broker answers one connection's questions in their order: those for bounds would wait behind reads at ends.
  settings.kafka.properties.try_emplace("fetch.wait.max.ms", "10");
  return with_topics(settings, [&](KafkaTopicReader& reader, const TopicNames& names) {
    const auto began = Clock::now();
    AuditOptions options;
    options.transaction_topic = names.transaction();
    options.relation_topic = names.relation();
    options.message_prefix = names.message_prefix();
    auto told = began;
    options.progress = [&told](const AuditReport& report) {
      if (Clock::now() < told + progress_interval) return;
      told = Clock::now();
      print_progress(report);
    };
    fmt::print("reading the topics \"{}.*\" at {}\n", names.prefix(),
               printable(settings.kafka.properties.at("bootstrap.servers")));
    try {
      const AuditReport report = audit_topics(reader, options);
      print_verdict(report, Clock::now() - began);
      return exit_whole;
    } catch (const LogError& error) {
      fmt::print("\nviolation: {}\n", printable(error.what()));
      return exit_violation;
    }
  });
}

}  // namespace anabranch
