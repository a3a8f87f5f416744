#include "sidecar/home.hpp"

#include <utility>

namespace anabranch {
namespace {

using namespace std::chrono_literals;

constexpr std::chrono::milliseconds batch_lock_wait_max = 200ms;  // for the table of one copy: the others wait as long

}  // namespace

ConnectOptions home_options(const RunSettings& settings) {
  ConnectOptions options;
  options.conninfo = settings.conninfo;
  options.synchronous_commit = "off";
  // A backend whose sidecar was killed holds the source's row until it notices.
  options.settings = {{"lock_timeout", std::to_string(batch_lock_wait_max.count())},
                      {"work_mem", apply_work_mem},
                      {"client_connection_check_interval", "500"}};
  return options;
}

void check_server(Connection& connection) {
  const Result row = connection.exec(
      "SELECT pg_is_in_recovery(), current_setting('wal_level'), "
      "NOT pg_has_role('pg_read_all_settings', 'USAGE') OR coalesce('anabranch_decoder' = ANY (string_to_array("
      "translate(CASE WHEN pg_has_role('pg_read_all_settings', 'USAGE') "
      "THEN current_setting('output_plugin_libraries', true) END, ' \"', ''), ',')), true)",
      Parameters());
  if (row.boolean(0, 0)) {
    throw RunError(RunError::Kind::configuration, "the server is a standby: connect to the primary");
  }
  if (row.text(0, 1) != "logical") {
    throw RunError(RunError::Kind::configuration,
                   "wal_level is \"" + std::string(row.text(0, 1)) +
                       "\", not \"logical\": run \"anabranch init\", then restart the server");
  }
  // Releases from August 2026 on load only the plugins that this setting lists; older ones do not have it. A role that
  // may not read it learns from the server's refusal instead.
  if (!row.boolean(0, 2)) {
    throw RunError(
        RunError::Kind::configuration,
        "the server's setting output_plugin_libraries does not list anabranch_decoder: run \"anabranch init\"");
  }
}

SlotLogOptions slot_log_options(const RunSettings& settings, ConnectOptions connect) {
  SlotLogOptions options;
  options.connect = std::move(connect);
  options.slot = settings.slot;
  options.publication = settings.publication;
  options.skip_origins = replication_origins(settings);
  options.queue_bytes_max = settings.queue_bytes_max;
  options.value_bytes_max = settings.value_bytes_max;
  return options;
}

KafkaLogOptions kafka_log_options(const RunSettings& settings, Session& session) {
  KafkaLogOptions options;
  options.properties = settings.kafka->properties;
  options.prefix = settings.kafka->prefix;
  options.source = settings.source;
  options.system_identifier = session.system_identifier(settings.source);
  options.history = [connect = home_options(settings)](uint32_t timeline, const Stop& stop) {
    ConnectOptions own = connect;
    own.stop = &stop;
    return server_history(std::move(own), timeline);
  };
  return options;
}

}  // namespace anabranch
