#include "sidecar/cli/server_facts.hpp"

#include <algorithm>

#include "sidecar/cli/names.hpp"

namespace anabranch {
namespace {

constexpr const char* insufficient_privilege = "42501";

// Runs `read`; a refusal for want of rights leaves things as they are.
template <typename Read>
void if_permitted(Read read) {
  try {
    read();
  } catch (const PgError& error) {
    if (error.sqlstate() != insufficient_privilege) throw;
  }
}

void read_server(Connection& connection, ServerFacts& facts) {
  const auto row = connection.exec(
      "SELECT pg_catalog.current_setting('server_version'), pg_catalog.current_database(), current_user,"
      "       (SELECT rolsuper FROM pg_catalog.pg_roles WHERE rolname = current_user), pg_catalog.pg_is_in_recovery(),"
      "       pg_catalog.current_setting('wal_level'), pg_catalog.current_setting('max_replication_slots'),"
      "       pg_catalog.current_setting('max_wal_senders'),"
      "       (SELECT count(*) FROM pg_catalog.pg_replication_slots),"
      "       (SELECT count(*) FROM pg_catalog.pg_stat_activity WHERE backend_type = 'walsender'),"
      "       coalesce((SELECT setting::bigint * 1048576 FROM pg_catalog.pg_settings"
      "                 WHERE name = 'max_slot_wal_keep_size' AND setting <> '-1'), -1),"
      "       (SELECT pending_restart FROM pg_catalog.pg_settings WHERE name = 'wal_level'),"
      "       (SELECT pending_restart FROM pg_catalog.pg_settings WHERE name = 'max_replication_slots'),"
      "       (SELECT pending_restart FROM pg_catalog.pg_settings WHERE name = 'max_wal_senders')");
  facts.version = connection.server_version();
  facts.version_text = row.text(0, 0);
  facts.database = row.text(0, 1);
  facts.user = row.text(0, 2);
  facts.superuser = row.boolean(0, 3);
  facts.in_recovery = row.boolean(0, 4);
  facts.wal_level = row.text(0, 5);
  facts.slots = {row.integer(0, 6), row.integer(0, 8), row.boolean(0, 12)};
  facts.senders = {row.integer(0, 7), row.integer(0, 9), row.boolean(0, 13)};
  facts.slot_wal_keep_bytes = row.integer(0, 10);
  facts.wal_level_pending_restart = row.boolean(0, 11);
}

void read_plugin_list(Connection& connection, ServerFacts& facts) {
  try {
    // Unknown: NULL. Known, but not to be read by this role: an error.
    const auto row = connection.exec("SELECT pg_catalog.current_setting('output_plugin_libraries', true)");
    facts.plugin_list = row.optional_text(0, 0);
    facts.knows_plugin_list = facts.plugin_list.has_value();
  } catch (const PgError& error) {
    if (error.sqlstate() != insufficient_privilege) throw;
    facts.knows_plugin_list = true;
  }
  const auto row = connection.exec(
      "SELECT coalesce((SELECT sourcefile FROM pg_catalog.pg_settings WHERE name = 'output_plugin_libraries'), ''),"
      "       coalesce((SELECT setting FROM pg_catalog.pg_settings WHERE name = 'config_file'), '')");
  facts.plugin_list_file = row.text(0, 0);
  facts.config_file = row.text(0, 1);
}

void read_extension(Connection& connection, ServerFacts& facts) {
  const auto row = connection.exec(
      "SELECT coalesce((SELECT default_version FROM pg_catalog.pg_available_extensions WHERE name = 'anabranch'), ''),"
      "       coalesce((SELECT extversion FROM pg_catalog.pg_extension WHERE extname = 'anabranch'), '')");
  facts.extension_available = row.text(0, 0);
  facts.extension_installed = row.text(0, 1);
}

void read_publication(Connection& connection, const std::string& name, ServerFacts& facts) {
  const auto row = connection.exec(
      "SELECT pg_catalog.pg_get_userbyid(p.pubowner), p.pubviaroot,"
      "       p.pubinsert AND p.pubupdate AND p.pubdelete AND p.pubtruncate,"
      "       EXISTS (SELECT FROM pg_catalog.pg_publication_tables t"
      "               WHERE t.pubname = p.pubname AND t.schemaname = 'anabranch' AND t.tablename = 'ddl'),"
      "       coalesce(pg_catalog.obj_description(p.oid, 'pg_publication') = $2::text, false),"
      "       (SELECT count(*) FROM pg_catalog.pg_publication_tables t WHERE t.pubname = p.pubname),"
      // The column exists from 18 on.
      "       coalesce(pg_catalog.to_jsonb(p) ->> 'pubgencols', 's') = 's'"
      " FROM pg_catalog.pg_publication p WHERE p.pubname = $1::text",
      Parameters().text(name).text(publication_comment));
  if (row.rows() == 0) return;
  facts.publication =
      PublicationFacts{std::string(row.text(0, 0)), row.boolean(0, 1), row.boolean(0, 2), row.boolean(0, 3),
                       row.boolean(0, 4),           row.integer(0, 5), row.boolean(0, 6)};
}

void read_slots(Connection& connection, const std::string& slot, ServerFacts& facts) {
  // two_phase is known from 14 on; a standby has no current WAL position.
  const auto rows = connection.exec(
      "SELECT slot_name, coalesce(plugin, ''), coalesce(database, ''), active, active_pid, coalesce(wal_status, ''),"
      "       two_phase, coalesce(CASE WHEN NOT pg_catalog.pg_is_in_recovery()"
      "         THEN pg_catalog.pg_wal_lsn_diff(pg_catalog.pg_current_wal_lsn(), restart_lsn) END, 0)::bigint,"
      "       confirmed_flush_lsn"
      " FROM pg_catalog.pg_replication_slots"
      " WHERE slot_name = $1::text OR slot_name ~ ('^' || $1::text || '_fill_[0-9]+$')"
      " ORDER BY slot_name <> $1::text, slot_name",
      Parameters().text(slot));
  for (size_t row = 0; row < rows.rows(); ++row) {
    SlotFacts found;
    found.name = rows.text(row, 0);
    found.plugin = rows.text(row, 1);
    found.database = rows.text(row, 2);
    found.active = rows.boolean(row, 3);
    if (!rows.null(row, 4)) found.active_pid = rows.integer(row, 4);
    found.wal_status = rows.text(row, 5);
    found.two_phase = rows.boolean(row, 6);
    found.wal_kept_bytes = rows.integer(row, 7);
    found.confirmed = rows.optional_lsn(row, 8);
    facts.our_slots.push_back(std::move(found));
  }
}

void read_origins(Connection& connection, const std::string& slot, ServerFacts& facts) {
  if_permitted([&] {
    const auto rows = connection.exec(
        "SELECT roname FROM pg_catalog.pg_replication_origin"
        " WHERE roname = $1::text OR roname ~ ('^' || $1::text || '_((fill|worker)_[0-9]+|verify)$') ORDER BY roname",
        Parameters().text(slot));
    for (size_t row = 0; row < rows.rows(); ++row) facts.our_origins.emplace_back(rows.text(row, 0));
  });
  const auto row = connection.exec(
      "SELECT EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname = 'anabranch_sidecar')"
      " AND (SELECT bool_and(pg_catalog.has_function_privilege(r.oid, f.oid, 'EXECUTE'))"
      "      FROM pg_catalog.pg_proc f, pg_catalog.pg_roles r WHERE r.rolname = 'anabranch_sidecar'"
      "      AND f.pronamespace = 'pg_catalog'::pg_catalog.regnamespace AND f.proname IN"
      "      ('pg_replication_origin_create', 'pg_replication_origin_drop', 'pg_replication_origin_oid',"
      "       'pg_replication_origin_session_setup', 'pg_replication_origin_session_reset'))");
  facts.origin_functions_granted = !row.null(0, 0) && row.boolean(0, 0);
}

std::optional<RoleFacts> read_role(Connection& connection, const std::string& role) {
  const auto row = connection.exec(
      "SELECT rolcanlogin, rolreplication OR rolsuper, rolsuper OR coalesce((SELECT pg_catalog.pg_has_role(r.oid, "
      "s.oid,"
      "       'USAGE') FROM pg_catalog.pg_roles s WHERE s.rolname = 'anabranch_sidecar'), false),"
      "       pg_catalog.has_database_privilege(r.oid, pg_catalog.current_database(), 'CONNECT')"
      " FROM pg_catalog.pg_roles r WHERE rolname = $1::text",
      Parameters().text(role));
  if (row.rows() == 0) return std::nullopt;
  return RoleFacts{row.boolean(0, 0), row.boolean(0, 1), row.boolean(0, 2), row.boolean(0, 3)};
}

// A name as the server writes it in a list.
std::string list_name(std::string_view name) {
  const bool plain = !name.empty() && std::all_of(name.begin(), name.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_';
  }) && !(name[0] >= '0' && name[0] <= '9');
  return plain ? std::string(name) : quote_identifier(name);
}

}  // namespace

const SlotFacts* ServerFacts::slot(std::string_view name) const {
  for (const auto& found : our_slots)
    if (found.name == name) return &found;
  return nullptr;
}

ServerFacts read_server_facts(Connection& connection, const Settings& settings, const std::string& role) {
  ServerFacts facts;
  read_server(connection, facts);
  // Before 15 some of what follows does not exist, and nothing of it matters.
  if (facts.version < 150000) return facts;
  const auto slot = settings.slot.empty() ? slot_name_for(facts.database) : settings.slot;
  read_plugin_list(connection, facts);
  read_extension(connection, facts);
  read_publication(connection, settings.publication, facts);
  read_slots(connection, slot, facts);
  read_origins(connection, slot, facts);
  if (const auto self = read_role(connection, facts.user)) facts.self = *self;
  if (!role.empty()) facts.role = read_role(connection, role);
  return facts;
}

std::vector<std::string> parse_plugin_list(std::string_view list) {
  std::vector<std::string> names;
  std::string name;
  bool quoted = false;
  bool any = false;
  auto take = [&] {
    if (any) names.push_back(name);
    name.clear();
    any = false;
  };
  for (size_t i = 0; i < list.size(); ++i) {
    const char c = list[i];
    if (c == '"') {
      if (quoted && i + 1 < list.size() && list[i + 1] == '"')
        name += list[++i];
      else
        quoted = !quoted;
      any = true;
    } else if (c == ',' && !quoted) {
      take();
    } else if (quoted || (c != ' ' && c != '\t' && c != '\n' && c != '\r')) {
      name += c;
      any = true;
    }
  }
  take();
  return names;
}

bool is_quoted_as_one(std::string_view list) {
  const auto names = parse_plugin_list(list);
  return std::any_of(names.begin(), names.end(), [](const auto& name) { return name.find(',') != name.npos; });
}

std::string plugin_list_with_decoder(std::string_view list) {
  std::vector<std::string> names;
  auto add = [&](const std::string& name) {
    if (std::find(names.begin(), names.end(), name) == names.end()) names.push_back(name);
  };
  for (const auto& name : parse_plugin_list(list)) {
    if (name.find(',') == std::string::npos)
      add(name);
    else
      for (const auto& part : parse_plugin_list(name)) add(part);
  }
  add(std::string(decoder_name));
  std::string joined;
  for (const auto& name : names) joined += (joined.empty() ? "" : ", ") + list_name(name);
  return joined;
}

bool behind_pooler(Connection& connection) {
  return connection.exec("SELECT pg_catalog.pg_backend_pid()").integer(0, 0) != connection.process_id();
}

}  // namespace anabranch
