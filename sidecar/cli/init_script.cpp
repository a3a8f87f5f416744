// The script that `anabranch init --sql` prints. It is written for psql: \gexec runs the statements that a query
// returns, so that a statement runs only where it is needed, outside a transaction, and stands in the script as it is.
#include <fmt/format.h>

#include "sidecar/cli/init.hpp"
#include "sidecar/cli/names.hpp"
#include "sidecar/cli/preparation.hpp"

namespace anabranch {
namespace {

// Runs `statement` where `missing` (an SQL condition) is true.
std::string where(const std::string& missing, const std::string& statement) {
  return fmt::format("SELECT {}\n WHERE {} \\gexec\n", quote_literal(statement), missing);
}

// Raises an error where `wrong` is true; all three are SQL expressions.
std::string stop_where(const std::string& wrong, const std::string& message, const std::string& hint) {
  const auto body =
      fmt::format("BEGIN\n  IF {} THEN\n    RAISE EXCEPTION USING MESSAGE = {},\n      HINT = {};\n  END IF;\nEND",
                  wrong, message, hint);
  // A name from outside may hold the very quote.
  std::string quote = "$$";
  for (int number = 1; body.find(quote) != std::string::npos; ++number) quote = fmt::format("$body_{}$", number);
  return fmt::format("DO {0}\n{1}\n{0};\n", quote, body);
}

std::string setting_of(std::string_view name) {
  return fmt::format("current_setting('{}')", name);
}

constexpr const char* list_lacks_us =
    "current_setting('output_plugin_libraries', true) !~ '(^|,)\\s*\"?anabranch_decoder\"?\\s*(,|$)'";
constexpr const char* list_is_one_name = "current_setting('output_plugin_libraries', true) ~ '\"[^\"]*,[^\"]*\"'";

std::string server_settings(const Settings& settings, bool apply) {
  const auto wal_level_wrong = setting_of("wal_level") + " <> 'logical'";
  std::string script = "-- Server settings.";
  script += apply ? " ALTER SYSTEM writes postgresql.auto.conf.\n" : " This script changes none (--apply would).\n";
  if (apply) {
    script += where(wal_level_wrong, "ALTER SYSTEM SET wal_level = logical");
    for (const auto& [name, used] :
         {std::pair{"max_replication_slots", "(SELECT count(*) FROM pg_replication_slots)"},
          std::pair{"max_wal_senders", "(SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'walsender')"}})
      script +=
          fmt::format("SELECT format('ALTER SYSTEM SET {0} = %s', {1} + {2})\n WHERE {3}::int < {1} + {2} \\gexec\n",
                      name, used, 2 + settings.fill_workers_max, setting_of(name));
    // The names one by one, also where they had been quoted as one; the list itself must not be quoted.
    script += fmt::format(
        "SELECT 'ALTER SYSTEM SET output_plugin_libraries = ' || string_agg(quote_ident(name), ', ')\n"
        "  FROM (SELECT btrim(name, ' \"') AS name\n"
        "          FROM regexp_split_to_table(current_setting('output_plugin_libraries', true), ',') AS name\n"
        "        UNION SELECT 'anabranch_decoder') AS names\n"
        " WHERE {} OR {} \\gexec\n"
        "SELECT pg_reload_conf();\nSELECT pg_sleep(1);\n",
        list_lacks_us, list_is_one_name);
  }
  script += stop_where(wal_level_wrong, "'wal_level is ' || current_setting('wal_level') || ', not logical'",
                       apply ? "'Restart the server, then run this script again.'"
                             : "'In postgresql.conf write: wal_level = logical; restart the server, then run this "
                               "script again.'");
  // NULL, so no error, where the server does not know the setting.
  script += stop_where(fmt::format("{}\n     OR {}", list_lacks_us, list_is_one_name),
                       "'output_plugin_libraries does not list anabranch_decoder: '\n"
                       "      || current_setting('output_plugin_libraries')",
                       "'In postgresql.conf write: output_plugin_libraries = ''pgoutput, test_decoding, "
                       "anabranch_decoder''; run SELECT pg_reload_conf(); then run this script again.'");
  return script;
}

}  // namespace

std::string init_script(const Settings& settings, const InitOptions& options) {
  const auto database = database_of(settings.home);
  const auto slot = slot_of(settings);
  const auto publication = settings.publication;

  std::string script = fmt::format(
      "-- Prepares PostgreSQL for Anabranch {}: database \"{}\", slot \"{}\", publication \"{}\".\n"
      "-- Run it as a superuser: psql -X -v ON_ERROR_STOP=1 -d DATABASE -f THIS_FILE\n"
      "-- It may be run again: what is there already stays as it is.\n"
      "\\set ON_ERROR_STOP on\n"
      "\\encoding UTF8\n"
      "SET search_path = pg_catalog;\n"
      "SET standard_conforming_strings = on;\n"
      "SET client_min_messages = warning;\n\n",
      ANABRANCH_VERSION, printable(database), slot, printable(publication));

  script += "-- The right server and database.\n";
  script += stop_where(fmt::format("current_database() <> {}", quote_literal(database)),
                       "'this is database ' || quote_ident(current_database())",
                       fmt::format("'The script is for database ' || quote_ident({})", quote_literal(database)));
  script += stop_where("current_setting('server_version_num')::int < 150000",
                       "'PostgreSQL ' || current_setting('server_version') || ' is too old'",
                       "'Upgrade the server to PostgreSQL 15 or later.'");
  script += stop_where("pg_is_in_recovery()", "'this server is a standby'", "'Run the script on the primary.'");

  script += "\n" + server_settings(settings, options.apply);

  script += "\n-- The extension.\n";
  script += where("NOT EXISTS (SELECT FROM pg_extension WHERE extname = 'anabranch')", "CREATE EXTENSION anabranch");
  script += where(fmt::format("EXISTS (SELECT FROM pg_extension WHERE extname = 'anabranch' AND extversion <> '{}')",
                              ANABRANCH_VERSION),
                  fmt::format("ALTER EXTENSION anabranch UPDATE TO '{}'", ANABRANCH_VERSION));

  script += "\n-- The publication; tables are added to it when copies of them are created.\n";
  const auto missing =
      fmt::format("NOT EXISTS (SELECT FROM pg_publication WHERE pubname = {})", quote_literal(publication));
  // The comment comes with the publication, and not with one that was there before: it tells drop which one is ours.
  script += fmt::format(
      "SELECT statement\n  FROM (VALUES (1, CASE WHEN {} >= {}\n                  THEN {}\n                  ELSE {} "
      "END),\n"
      "               (2, {})) AS steps (number, statement)\n"
      " WHERE {}\n ORDER BY number \\gexec\n",
      "current_setting('server_version_num')::int", generated_columns_version,
      quote_literal(statements::create_publication(publication, generated_columns_version)),
      quote_literal(statements::create_publication(publication, 0)),
      quote_literal(statements::comment_on_publication(publication)), missing);

  script += "\n-- The slot. It waits until the transactions that are open now have ended.\n";
  script += fmt::format(
      "SELECT CASE WHEN {} >= {}\n         THEN {}\n         ELSE {} END\n"
      " WHERE NOT EXISTS (SELECT FROM pg_replication_slots WHERE slot_name = {}) \\gexec\n",
      "current_setting('server_version_num')::int", failover_slots_version,
      quote_literal(statements::create_slot(slot, failover_slots_version)),
      quote_literal(statements::create_slot(slot, 0)), quote_literal(slot));

  script += "\n-- The origin that marks the sidecar's own writes, and the right to use it.\n";
  script += fmt::format("{}\n WHERE NOT EXISTS (SELECT FROM pg_replication_origin WHERE roname = {});\n",
                        statements::create_origin(slot), quote_literal(slot));
  script += statements::grant_origin_functions() + ";\n";

  if (!options.role.empty()) {
    const auto role = quote_literal(options.role);
    script += "\n-- The role that the sidecar connects as.\n";
    script += where(fmt::format("NOT EXISTS (SELECT FROM pg_roles WHERE rolname = {})", role),
                    statements::create_role(options.role));
    script += where(fmt::format("EXISTS (SELECT FROM pg_roles WHERE rolname = {} AND NOT (rolcanlogin AND "
                                "(rolreplication OR rolsuper)))",
                                role),
                    statements::let_role_replicate(options.role));
    script += statements::grant_sidecar(options.role) + ";\n";
    script += statements::grant_connect(database, options.role) + ";\n";
    script += fmt::format(
        "\n-- Left to do: give it a password (in psql: \\password {}), and let it in, in pg_hba.conf, as in\n"
        "-- host \"{}\" \"{}\" 127.0.0.1/32 scram-sha-256\n",
        printable(quote_identifier(options.role)), printable(database), printable(options.role));
  }
  return script;
}

}  // namespace anabranch
