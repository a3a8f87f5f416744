#include "sidecar/cli/preparation.hpp"

#include <fmt/format.h>

#include "sidecar/cli/names.hpp"
#include "sidecar/cli/units.hpp"

namespace anabranch {

namespace statements {

std::string create_publication(const std::string& publication, int server_version) {
  return fmt::format("CREATE PUBLICATION {} FOR TABLE anabranch.ddl WITH (publish_via_partition_root = true{})",
                     quote_identifier(publication),
                     server_version >= generated_columns_version ? ", publish_generated_columns = stored" : "");
}

std::string comment_on_publication(const std::string& publication) {
  return fmt::format("COMMENT ON PUBLICATION {} IS {}", quote_identifier(publication),
                     quote_literal(publication_comment));
}

std::string create_slot(const std::string& slot, int server_version) {
  // From 17 on a slot goes over to a standby that synchronizes slots, if it was made for that.
  return fmt::format("SELECT pg_catalog.pg_create_logical_replication_slot({}, '{}', false, false{})",
                     quote_literal(slot), decoder_name, server_version >= failover_slots_version ? ", true" : "");
}

std::string create_origin(const std::string& slot) {
  return fmt::format("SELECT pg_catalog.pg_replication_origin_create({})", quote_literal(slot));
}

std::string grant_origin_functions() {
  return fmt::format(
      "GRANT EXECUTE ON FUNCTION pg_catalog.pg_replication_origin_create(text),"
      " pg_catalog.pg_replication_origin_drop(text), pg_catalog.pg_replication_origin_oid(text),"
      " pg_catalog.pg_replication_origin_session_setup(text), pg_catalog.pg_replication_origin_session_reset()"
      " TO {}",
      sidecar_role_name);
}

std::string create_role(const std::string& role) {
  return fmt::format("CREATE ROLE {} LOGIN REPLICATION", quote_identifier(role));
}

std::string let_role_replicate(const std::string& role) {
  return fmt::format("ALTER ROLE {} LOGIN REPLICATION", quote_identifier(role));
}

std::string grant_sidecar(const std::string& role) {
  return fmt::format("GRANT {} TO {}", sidecar_role_name, quote_identifier(role));
}

std::string grant_connect(const std::string& database, const std::string& role) {
  return fmt::format("GRANT CONNECT ON DATABASE {} TO {}", quote_identifier(database), quote_identifier(role));
}

std::string set_plugin_list(const std::string& list) {
  return fmt::format("ALTER SYSTEM SET output_plugin_libraries = {}", list);
}

}  // namespace statements

namespace {

constexpr const char* restart_remedy = "restart the server, then run anabranch init again";

// The steps of one plan, under construction.
class Plan {
 public:
  Plan(const ServerFacts& facts, const Settings& settings, const InitOptions& options)
      : facts_(facts),
        settings_(settings),
        options_(options),
        slot_(settings.slot.empty() ? slot_name_for(facts.database) : settings.slot) {}

  std::vector<Step> make() {
    version();
    if (facts_.version < 150000) return std::move(steps_);
    standby();
    wal_level();
    limit("max_replication_slots", facts_.slots, facts_.slot(slot_) == nullptr ? 1 : 0, "replication slots");
    limit("max_wal_senders", facts_.senders, active_slot() ? 0 : 1, "WAL senders");
    wal_bound();
    plugin_list();
    extension();
    publication();
    slot();
    origin();
    sidecar_rights();
    if (!options_.role.empty()) role();
    return std::move(steps_);
  }

 private:
  const ServerFacts& facts_;
  const Settings& settings_;
  const InitOptions& options_;
  const std::string slot_;
  std::vector<Step> steps_;

  Step& add(Step::State state, std::string subject, std::string text) {
    steps_.push_back({state, std::move(subject), std::move(text), {}, {}, {}, {}, false});
    return steps_.back();
  }

  bool active_slot() const {
    const auto* slot = facts_.slot(slot_);
    return slot != nullptr && slot->active;
  }

  void version() {
    if (facts_.version >= 150000)
      add(Step::State::fine, "server", "PostgreSQL " + printable(facts_.version_text));
    else
      add(Step::State::remains, "server", fmt::format("PostgreSQL {} is too old", printable(facts_.version_text)))
          .remedy = "upgrade the server to PostgreSQL 15 or later";
  }

  void standby() {
    if (facts_.in_recovery)
      add(Step::State::remains, "server", "is a standby, which cannot be written to").remedy =
          "connect to the primary (-h, -p)";
  }

  void wal_level() {
    if (facts_.wal_level == "logical") {
      add(Step::State::fine, "wal_level", "is logical");
      return;
    }
    const auto text = fmt::format("is {}; the WAL does not hold what logical decoding needs", facts_.wal_level);
    if (facts_.wal_level_pending_restart) {
      add(Step::State::remains, "wal_level", text + ", until the server is restarted").remedy = restart_remedy;
      return;
    }
    setting("wal_level", text, "logical");
  }

  void limit(const std::string& name, const ServerLimit& limit, int64_t ours, const char* what) {
    // One for the applier, one for each copy that is being filled, one for the verification under way.
    const int64_t needed = ours + settings_.fill_workers_max + 1;
    const auto text = fmt::format("is {}, of which {} are in use", limit.value, limit.used);
    if (limit.left() >= needed) {
      add(Step::State::fine, name, text);
      return;
    }
    const auto wanted = std::to_string(limit.used + needed);
    if (limit.pending_restart)
      add(limit.left() >= ours ? Step::State::advice : Step::State::remains, name,
          text + "; another value waits for a restart")
          .remedy = restart_remedy;
    else if (limit.left() >= ours && !options_.apply)
      add(Step::State::advice, name,
          fmt::format("{}; filling {} copies at once, and verifying one, takes {} more {}", text,
                      settings_.fill_workers_max, needed, what))
          .remedy =
          fmt::format("set {} = {} in postgresql.conf and restart the server, or lower fill_workers_max", name, wanted);
    else
      setting(name, fmt::format("{}; {} more {} are needed", text, needed, what), wanted);
  }

  // A setting that takes a restart.
  void setting(const std::string& name, const std::string& text, const std::string& value) {
    if (!options_.apply) {
      add(Step::State::remains, name, text).remedy = fmt::format(
          "in {} write: {} = {}\nand restart the server; or run: anabranch init --apply", config_file(), name, value);
      return;
    }
    auto& step = add(Step::State::doable, name, text);
    step.statements = {fmt::format("ALTER SYSTEM SET {} = {}", name, value)};
    step.done = fmt::format("has been set to {} in postgresql.auto.conf", value);
    step.remedy = restart_remedy;
    step.restart = true;
  }

  std::string config_file() const {
    return facts_.config_file.empty() ? "postgresql.conf" : printable(facts_.config_file);
  }

  void wal_bound() {
    if (facts_.slot_wal_keep_bytes >= 0) {
      if (facts_.slot_wal_keep_bytes < settings_.wal_keep_limit_bytes)
        add(Step::State::advice, "max_slot_wal_keep_size",
            fmt::format("is {}, less than wal_keep_limit ({}): the server would give up the slot, and with it every "
                        "copy, before Anabranch lets go of the one that is behind",
                        format_bytes(facts_.slot_wal_keep_bytes), format_bytes(settings_.wal_keep_limit_bytes)))
            .remedy = "raise max_slot_wal_keep_size, or lower wal_keep_limit in the settings file";
      else
        add(Step::State::fine, "max_slot_wal_keep_size", "is " + format_bytes(facts_.slot_wal_keep_bytes));
      return;
    }
    const auto bound = format_bytes(2 * settings_.wal_keep_limit_bytes);
    std::string setting = bound;
    std::erase(setting, ' ');
    add(Step::State::advice, "max_slot_wal_keep_size",
        "has no bound: while no sidecar runs, the slot keeps WAL until the disk is full")
        .remedy = fmt::format(
        "set max_slot_wal_keep_size = {} (twice wal_keep_limit) in postgresql.conf and reload; past that bound the "
        "server "
        "gives up the slot and the copies are filled anew",
        setting);
  }

  void plugin_list() {
    constexpr const char* subject = "output_plugin_libraries";
    if (!facts_.knows_plugin_list) {
      add(Step::State::fine, subject, "is not known to this server, which allows every output plugin");
      return;
    }
    if (!facts_.plugin_list) {
      add(Step::State::advice, subject, "may not be read by this role").remedy =
          fmt::format("as a superuser: SHOW output_plugin_libraries, and see that it lists {}", decoder_name);
      return;
    }
    for (const auto& name : parse_plugin_list(*facts_.plugin_list)) {
      if (name != decoder_name) continue;
      add(Step::State::fine, subject, fmt::format("lists {}", decoder_name));
      return;
    }
    const auto list = plugin_list_with_decoder(*facts_.plugin_list);
    const auto text =
        is_quoted_as_one(*facts_.plugin_list)
            ? fmt::format("is {}: one name in quotes, not a list, so that no output plugin is allowed",
                          printable(*facts_.plugin_list))
            : fmt::format("is \"{}\", so that the server refuses {}", printable(*facts_.plugin_list), decoder_name);
    if (options_.apply) {
      auto& step = add(Step::State::doable, subject, text);
      step.statements = {statements::set_plugin_list(list), "SELECT pg_catalog.pg_reload_conf()"};
      step.done = fmt::format("has been set to {}", printable(list));
      return;
    }
    // What ALTER SYSTEM has set overrides postgresql.conf, so there a line in the file would change nothing.
    const bool auto_conf = facts_.plugin_list_file.ends_with("postgresql.auto.conf");
    add(Step::State::remains, subject, text).remedy =
        auto_conf
            ? fmt::format(
                  "run, with the list unquoted: {};\nand: SELECT pg_reload_conf(); or run: anabranch init --apply",
                  statements::set_plugin_list(printable(list)))
            : fmt::format(
                  "in {} write: output_plugin_libraries = '{}'\nand run: SELECT pg_reload_conf(); "
                  "or run: anabranch init --apply",
                  facts_.plugin_list_file.empty() ? config_file() : printable(facts_.plugin_list_file),
                  printable(list));
  }

  void extension() {
    const auto& installed = facts_.extension_installed;
    const auto& available = facts_.extension_available;
    if (installed == ANABRANCH_VERSION) {
      add(Step::State::fine, "extension",
          fmt::format("anabranch {} is in database \"{}\"", installed, printable(facts_.database)));
      return;
    }
    if (available != ANABRANCH_VERSION) {
      add(Step::State::remains, "extension",
          available.empty() ? "anabranch is not installed on the server"
                            : fmt::format("anabranch {} is installed on the server, this program is {}",
                                          printable(available), ANABRANCH_VERSION))
          .remedy = fmt::format("install version {} on the server: make && make install", ANABRANCH_VERSION);
      return;
    }
    if (installed.empty()) {
      auto& step = add(Step::State::doable, "extension", "is not in the database");
      step.statements = {"CREATE EXTENSION anabranch"};
      step.done = fmt::format("has been created, version {}", available);
    } else {
      auto& step = add(Step::State::doable, "extension",
                       fmt::format("is version {}, this program is {}", printable(installed), ANABRANCH_VERSION));
      step.statements = {fmt::format("ALTER EXTENSION anabranch UPDATE TO '{}'", ANABRANCH_VERSION)};
      step.done = fmt::format("has been updated to {}", ANABRANCH_VERSION);
    }
  }

  void publication() {
    const auto name = quote_identifier(settings_.publication);
    const auto shown = printable(settings_.publication);
    if (!facts_.publication) {
      auto& step = add(Step::State::doable, "publication", fmt::format("\"{}\" does not exist", shown));
      step.statements = {statements::create_publication(settings_.publication, facts_.version),
                         statements::comment_on_publication(settings_.publication)};
      step.done = fmt::format("\"{}\" has been created", shown);
      step.needs = {"extension"};
      return;
    }
    const auto& publication = *facts_.publication;
    std::vector<std::string> missing;
    std::vector<std::string> mending;
    if (!publication.has_ddl) {
      missing.emplace_back("lacks table anabranch.ddl");
      mending.push_back(fmt::format("ALTER PUBLICATION {} ADD TABLE anabranch.ddl", name));
    }
    if (!publication.via_root) {
      missing.emplace_back("publishes partitions, not their roots");
      mending.push_back(fmt::format("ALTER PUBLICATION {} SET (publish_via_partition_root = true)", name));
    }
    if (!publication.generated_columns) {
      missing.emplace_back("leaves out stored generated columns");
      mending.push_back(fmt::format("ALTER PUBLICATION {} SET (publish_generated_columns = stored)", name));
    }
    if (!publication.all_operations) {
      missing.emplace_back("leaves out some operations");
      mending.push_back(fmt::format("ALTER PUBLICATION {} SET (publish = 'insert, update, delete, truncate')", name));
    }
    if (missing.empty()) {
      add(Step::State::fine, "publication",
          fmt::format("\"{}\" has {}", shown, format_count(publication.tables, "table")));
      return;
    }
    const auto text = fmt::format("\"{}\" {}", shown, fmt::join(missing, ", "));
    if (publication.ours) {
      auto& step = add(Step::State::doable, "publication", text);
      step.statements = mending;
      step.done = fmt::format("\"{}\" has been mended", shown);
      step.needs = {"extension"};
    } else {
      // Subscribers of someone else's publication would see the change.
      add(Step::State::remains, "publication", text + ", and was not made by init").remedy = fmt::format(
          "name another one in the settings file ([source.home] publication), or run:\n{};", fmt::join(mending, ";\n"));
    }
  }

  void slot() {
    const auto* slot = facts_.slot(slot_);
    if (slot == nullptr) {
      auto& step = add(Step::State::doable, "slot", fmt::format("\"{}\" does not exist", slot_));
      step.statements = {statements::create_slot(slot_, facts_.version)};
      step.done = fmt::format("\"{}\" has been created", slot_);
      step.needs = {"server", "wal_level", "max_replication_slots", "output_plugin_libraries", "extension"};
      return;
    }
    const auto drop = fmt::format("SELECT pg_drop_replication_slot('{}');", slot_);
    if (slot->plugin != decoder_name || slot->database != facts_.database) {
      add(Step::State::remains, "slot",
          slot->plugin.empty() ? fmt::format("\"{}\" is a physical slot", slot_)
                               : fmt::format("\"{}\" belongs to plugin \"{}\" in database \"{}\"", slot_,
                                             printable(slot->plugin), printable(slot->database)))
          .remedy = "name another slot in the settings file ([source.home] slot)";
    } else if (slot->wal_status == "lost") {
      add(Step::State::remains, "slot",
          fmt::format(
              "\"{}\" has been invalidated (max_slot_wal_keep_size, or idle_replication_slot_timeout), its WAL is gone",
              slot_))
          .remedy = fmt::format("{}\nthen run anabranch init again; the copies are then filled anew", drop);
    } else if (slot->two_phase) {
      add(Step::State::remains, "slot", fmt::format("\"{}\" was created with two_phase", slot_)).remedy =
          fmt::format("{}\nthen run anabranch init again; the copies are then filled anew", drop);
    } else {
      add(Step::State::fine, "slot",
          fmt::format("\"{}\" keeps {} of WAL{}", slot_, format_bytes(slot->wal_kept_bytes),
                      slot->active ? ", a sidecar reads it" : ""));
    }
  }

  void origin() {
    for (const auto& origin : facts_.our_origins)
      if (origin == slot_) {
        add(Step::State::fine, "replication origin", fmt::format("\"{}\" exists", slot_));
        return;
      }
    auto& step = add(Step::State::doable, "replication origin", fmt::format("\"{}\" does not exist", slot_));
    step.statements = {statements::create_origin(slot_)};
    step.done = fmt::format("\"{}\" has been created", slot_);
    step.needs = {"server"};
  }

  void sidecar_rights() {
    const auto subject = std::string(sidecar_role_name);
    if (facts_.origin_functions_granted) {
      add(Step::State::fine, subject, "may use the replication origin functions");
      return;
    }
    auto& step = add(Step::State::doable, subject, "may not use the replication origin functions");
    step.statements = {statements::grant_origin_functions()};
    step.done = "may now use the replication origin functions";
    step.needs = {"extension"};
  }

  void role() {
    const auto shown = printable(options_.role);
    const auto subject = fmt::format("role \"{}\"", shown);
    const auto facts = facts_.role.value_or(RoleFacts{});
    std::vector<std::string> wanted;
    if (!facts_.role)
      wanted.push_back(statements::create_role(options_.role));
    else if (!facts.login || !facts.replication)
      wanted.push_back(statements::let_role_replicate(options_.role));
    if (!facts.sidecar) wanted.push_back(statements::grant_sidecar(options_.role));
    if (facts_.role && !facts.connect) wanted.push_back(statements::grant_connect(facts_.database, options_.role));
    // A new role may connect unless that right was taken from PUBLIC; granting it twice does no harm.
    if (!facts_.role) wanted.push_back(statements::grant_connect(facts_.database, options_.role));
    if (wanted.empty()) {
      add(Step::State::fine, subject, "may run the sidecar");
    } else {
      auto& step = add(Step::State::doable, subject, facts_.role ? "lacks rights" : "does not exist");
      step.statements = wanted;
      step.done = facts_.role ? "may now run the sidecar" : "has been created, without a password";
      step.needs = {"extension"};
    }
    if (!facts_.role)
      add(Step::State::advice, subject, "has no password").remedy =
          fmt::format("in psql: \\password {}", quote_identifier(options_.role));
    add(Step::State::advice, "pg_hba.conf", "must let the role in, to the database by its name").remedy = fmt::format(
        "a line such as: host \"{}\" \"{}\" 127.0.0.1/32 scram-sha-256\n"
        "(hostssl and the sidecar's address where it runs elsewhere; the word replication matches only "
        "physical replication)",
        printable(facts_.database), shown);
  }
};

}  // namespace

std::vector<Step> plan_preparation(const ServerFacts& facts, const Settings& settings, const InitOptions& options) {
  return Plan(facts, settings, options).make();
}

}  // namespace anabranch
