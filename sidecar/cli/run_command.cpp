#include "sidecar/cli/run_command.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <atomic>
#include <csignal>

#include "sidecar/cli/config.hpp"
#include "sidecar/cli/stop_signals.hpp"
#include "sidecar/logging.hpp"
#include "sidecar/publish/adopt.hpp"

namespace anabranch {
namespace {

// What the signal handler reaches.
std::atomic<bool> reload_asked{false};

void on_reload_signal(int) {
  reload_asked.store(true, std::memory_order_relaxed);
}

// New settings after a SIGHUP; nullopt where none was sent or the file is refused.
std::optional<RunSettings> reload(const CommandLine& command_line, Settings& current) {
  if (!reload_asked.exchange(false, std::memory_order_relaxed)) return std::nullopt;
  if (command_line.config.empty()) {
    log_warning("there is nothing to reload", {{"hint", "name a settings file with --config"}});
    return std::nullopt;
  }
  try {
    const auto read = settings_for(command_line);
    if (read.home != current.home || read.slot != current.slot || read.publication != current.publication)
      log_warning("connection, slot and publication change with the next start only");
    if (read.log_is_kafka != current.log_is_kafka || read.kafka != current.kafka)
      log_warning("log and everything in [kafka] change with the next start only");
    if (read.indexes != current.indexes) log_warning("everything in [index.NAME] changes with the next start only");
    configure_logging(read.log_level, read.log_format);
    log_info("settings reloaded", {{"file", command_line.config},
                                   {"batch_interval_max_ms", read.batch_interval_max},
                                   {"fill_workers_max", read.fill_workers_max},
                                   {"wal_keep_limit_bytes", read.wal_keep_limit_bytes}});
    current = read;
    return run_settings_of(read);
  } catch (const ConfigError& error) {
    for (const auto& mistake : error.mistakes())
      log_error("settings file refused, going on with the settings before", {{"file", command_line.config},
                                                                             {"line", mistake.line},
                                                                             {"key", mistake.key},
                                                                             {"problem", mistake.problem},
                                                                             {"remedy", mistake.remedy}});
  } catch (const std::exception& error) {
    log_error("settings not reloaded", {{"error", error.what()}});
  }
  return std::nullopt;
}

}  // namespace

RunSettings run_settings_of(const Settings& settings) {
  RunSettings run;
  run.conninfo = conninfo_of(settings.home);
  run.slot = slot_of(settings);
  run.publication = settings.publication;
  run.batch_interval_max = settings.batch_interval_max;
  run.fill_workers_max = settings.fill_workers_max;
  run.wal_keep_limit_bytes = settings.wal_keep_limit_bytes;
  run.verify_snapshot_max = settings.verify_snapshot_max;
  run.verify_pause_when = settings.verify_pause_when;
  run.indexes = settings.indexes;
  if (settings.log_is_kafka) {
    run.kafka = settings.kafka;
    run.kafka->prefix = topic_prefix_of(settings);
  }
  return run;
}

int run_until_stopped(const CommandLine& command_line, const Settings& settings) {
  configure_logging(settings.log_level, settings.log_format);
  const Stop& stop = stop_on_signals();
  handle_signal(SIGHUP, on_reload_signal);
  auto first = run_settings_of(settings);
  first.part = command_line.run.part;
  log_info("anabranch starts", {{"version", ANABRANCH_VERSION},
                                {"process", getpid()},
                                {"home", describe(settings.home)},
                                {"slot", first.slot},
                                {"publication", first.publication}});
  try {
    run(first, stop, [&command_line, current = settings]() mutable { return reload(command_line, current); });
  } catch (const RunError& error) {
    log_error(error.what());
    return error.exit_code();
  }
  return 0;
}

int adopt_topics(const Settings& settings) {
  configure_logging(settings.log_level, settings.log_format);
  if (!settings.log_is_kafka) {
    fmt::print(stderr, "anabranch: there are no topics to adopt: the settings do not say log = \"kafka\"\n");
    return 1;
  }
  try {
    fmt::print("{}\n", adopt(run_settings_of(settings)));
  } catch (const RunError& error) {
    fmt::print(stderr, "anabranch: {}\n", error.what());
    return error.exit_code();
  }
  return 0;
}

}  // namespace anabranch
