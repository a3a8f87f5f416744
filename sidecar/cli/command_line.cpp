#include "sidecar/cli/command_line.hpp"

#include <CLI/CLI.hpp>
#include <fmt/format.h>
#include <libpq-fe.h>
#include <cstdlib>
#include <memory>

#include "sidecar/cli/config.hpp"
#include "sidecar/cli/names.hpp"
#include "sidecar/cli/units.hpp"

namespace anabranch {
namespace {

constexpr const char* about =
    "Keeps secondary copies of PostgreSQL tables (aggregate tables, re-keyed rows) in step with the tables they come "
    "from.\n\nStart with: anabranch init -d DATABASE, then: anabranch run -d DATABASE";

constexpr const char* footer =
    "Connection options may stand before or after the command; what they leave open comes from the settings\n"
    "file, then from libpq (PGHOST, PGPORT, PGUSER, PGDATABASE, PGPASSWORD, PGSERVICE, ~/.pgpass).\n"
    "Passwords: PGPASSWORD or a password file; never on the command line.";

// What is typed after -h, -p, -U and -d.
struct Connection {
  std::string host, port, user, database;
};

struct FreeOptions {
  void operator()(PQconninfoOption* options) const { PQconninfoFree(options); }
};

// Whether psql would take the argument of -d for a connection string.
bool is_conninfo(std::string_view database) {
  return database.starts_with("postgresql://") || database.starts_with("postgres://") ||
         database.find('=') != std::string_view::npos;
}

ConnectionParameters parse_conninfo(const std::string& conninfo) {
  char* error = nullptr;
  const std::unique_ptr<PQconninfoOption, FreeOptions> options(PQconninfoParse(conninfo.c_str(), &error));
  // libpq's message quotes the string, which may hold a password.
  if (error != nullptr) PQfreemem(error);
  if (options == nullptr)
    throw UsageError(
        "the argument of -d is no connection string; write a database name, or as in -d \"host=db1 dbname=shop\"",
        std::nullopt);
  ConnectionParameters parameters;
  for (const auto* option = options.get(); option->keyword != nullptr; ++option)
    if (option->val != nullptr) parameters[option->keyword] = option->val;
  if (parameters.contains("password") || parameters.contains("sslpassword"))
    throw UsageError(
        "a password on the command line can be read by every user of this machine; use PGPASSWORD or a password file",
        std::nullopt);
  if (parameters.contains("replication"))
    throw UsageError("the connection string sets replication; leave that out", std::nullopt);
  return parameters;
}

ConnectionParameters parameters_of(const Connection& typed) {
  ConnectionParameters parameters;
  if (is_conninfo(typed.database))
    parameters = parse_conninfo(typed.database);
  else if (!typed.database.empty())
    parameters["dbname"] = typed.database;
  if (!typed.host.empty()) parameters["host"] = typed.host;
  if (!typed.port.empty()) parameters["port"] = typed.port;
  if (!typed.user.empty()) parameters["user"] = typed.user;
  return parameters;
}

void add_connection(CLI::App& app, Connection& typed, std::string& config) {
  app.add_option("-h,--host", typed.host, "Server's host name, or directory of its socket")->type_name("HOST");
  app.add_option("-p,--port", typed.port, "Server's port")->type_name("PORT")->check(CLI::Range(1, 65535));
  app.add_option("-U,--username", typed.user, "Role to connect as")->type_name("ROLE");
  app.add_option("-d,--dbname", typed.database, "Database, or a connection string without password")->type_name("DB");
  app.add_option("-c,--config", config, "Settings file (TOML)")->type_name("FILE");
}

std::string watch_interval_refused(std::string& text) {
  try {
    // A bare number means seconds here, as watch(1) and psql's \watch have it.
    const bool bare = !text.empty() && text.find_first_not_of("0123456789.") == std::string::npos;
    const auto interval = parse_duration(bare ? text + " s" : text);
    using namespace std::chrono_literals;
    if (interval < 100ms || interval > 24h) return "--watch: is outside 100 ms to 24 h; write seconds, as in --watch 2";
    text = std::to_string(interval.count());
    return {};
  } catch (const UnitError&) {
    return "--watch: is no number of seconds; write it as in --watch 2";
  }
}

// What was said of the keys, and of which copies, fits together; else why not.
std::string verify_refused(VerifyOptions& options, bool mode_given, bool all) {
  if (all && !options.copies.empty()) return "--all: means every copy, and copies are named; leave one of them out";
  if (options.keys.empty() && options.mode == "keys")
    return "--mode keys: needs the keys, as in --keys '[{\"customer\": 7}]'";
  if (options.keys.empty()) return {};
  if (mode_given && options.mode != "keys") return "--keys: goes with --mode keys alone; leave the mode out";
  if (options.copies.size() != 1)
    return "--keys: are of one copy; name it, as in anabranch verify public.totals --keys";
  options.mode = "keys";
  return {};
}

using Commands = std::vector<std::pair<CLI::App*, Command>>;

// "init, run and status"
std::string names_of(const Commands& commands) {
  std::string names;
  for (std::size_t i = 0; i < commands.size(); ++i)
    names += (i == 0 ? "" : i + 1 == commands.size() ? " and " : ", ") + commands[i].first->get_name();
  return names;
}

}  // namespace

std::optional<CommandLine> parse_command_line(int argc, const char* const* argv) {
  CommandLine parsed;
  Connection typed;
  CLI::App app(about, "anabranch");
  app.set_help_flag("-?,--help", "Print this help and exit");
  app.set_version_flag("-V,--version", std::string("anabranch ") + ANABRANCH_VERSION, "Print the version and exit");
  app.footer(footer);
  app.require_subcommand(0, 1);
  app.fallthrough();
  app.get_formatter()->column_width(34);
  add_connection(app, typed, parsed.config);

  auto* init = app.add_subcommand("init", "Check the server and prepare it: extension, publication, slot, roles");
  init->add_flag("--apply", parsed.init.apply, "Also change server settings (ALTER SYSTEM) where that is needed");
  init->add_flag("--sql", parsed.init.sql, "Print all that as a script for psql, and do nothing");
  init->add_option("--role", parsed.init.role, "Prepare this role to run the sidecar (created if missing)")
      ->type_name("NAME");
  auto* run = app.add_subcommand("run", "Keep the copies in step, or publish, until stopped (SIGTERM)");
  run->add_option("--only", parsed.run.part,
                  "With log = \"kafka\": publish (into Kafka) or apply (out of it); otherwise both")
      ->type_name("publish|apply")
      ->transform(CLI::CheckedTransformer(std::map<std::string, RunSettings::Part>{
          {"publish", RunSettings::Part::publish}, {"apply", RunSettings::Part::apply}}));
  auto* audit = app.add_subcommand(
      "audit", "Read all topics and prove them whole; exit code 0 whole, 1 not, 3 could not be read");
  auto* tail = app.add_subcommand("tail", "Show the last transactions in the topics");
  tail->add_option("TOPIC", parsed.tail.topics, "Only these: schema.table, or message.prefix");
  tail->add_option("-n,--count", parsed.tail.count, "How many transactions (10)")->type_name("N");
  tail->add_flag("-f,--follow", parsed.tail.follow, "And go on with those to come, until interrupted");
  auto* adopt = app.add_subcommand(
      "adopt", "Take the topics over for this server, after a clone, a restore, an upgrade or a gap (docs/kafka.md)");
  auto* status =
      app.add_subcommand("status", "Show source, slot and copies; exit code 0 ok, 1 warning, 2 critical, 3 unknown");
  status->add_flag("--json", parsed.status.json, "For machines");
  std::string watch;
  auto* watch_option = status->add_option("--watch", watch, "Print again every so many seconds (2)")
                           ->type_name("SECONDS")
                           ->expected(0, 1)
                           ->default_str("2");
  auto* verify = app.add_subcommand(
      "verify",
      "Prove copies equal to their definitions; exit code 0 equal, 1 they differ, 2 could not be proved, 3 unknown");
  verify->add_option("COPY", parsed.verify.copies, "Only these, as SQL writes them with their schema: public.totals");
  bool all = false;
  verify->add_flag("--all", all, "Every copy that the role may control; so it is where none is named");
  verify->add_flag("--wait", parsed.verify.wait, "Show how far they are until they have ended, then what was found");
  auto* mode = verify
                   ->add_option("--mode", parsed.verify.mode,
                                "full: every group or row (the default); sketch: sums of them first; keys: only --keys")
                   ->type_name("full|sketch|keys")
                   ->check(CLI::IsMember({"full", "sketch", "keys", "index"}));
  verify->add_option("--keys", parsed.verify.keys, "Which groups or rows: a list of objects by column, in JSON")
      ->type_name("JSON");
  verify->add_option("--duty", parsed.verify.duty, "Share of the time in which the sources are read (0.1)")
      ->type_name("SHARE")
      ->check(CLI::Range(0.001, 1.0));
  verify->add_flag("--repair", parsed.verify.repair, "Put right what differs");
  verify->add_flag("--json", parsed.verify.json, "For machines: a line for each run, at the end with --wait");
  auto* check =
      app.add_subcommand("check", "Examine settings and server without running; exit code 1 if it would not run");
  auto* drop = app.add_subcommand("drop", "List what of Anabranch is in the database; with --yes remove it");
  drop->add_flag("--yes", parsed.drop.yes, "Remove what is listed");
  drop->add_flag("--extension", parsed.drop.extension, "The extension too");
  auto* schema = app.add_subcommand("schema", "Print the .proto of a table's rows, keys and records");
  schema->add_option("TABLE", parsed.schema.table, "The table as SQL writes it, with its schema: public.orders")
      ->required();

  const Commands commands = {{init, Command::init},     {run, Command::run},     {status, Command::status},
                             {verify, Command::verify}, {check, Command::check}, {drop, Command::drop},
                             {schema, Command::schema}, {adopt, Command::adopt}, {audit, Command::audit},
                             {tail, Command::tail}};
  std::optional<Command> command;
  const auto note_command = [&] {
    for (const auto& [subcommand, meaning] : commands)
      if (subcommand->parsed()) command = meaning;
  };
  try {
    app.parse(argc, argv);
    note_command();
    if (!command) throw UsageError(fmt::format("a command is missing; commands are {}", names_of(commands)), command);
    if (watch_option->count() > 0) {
      if (watch.empty()) watch = "2";
      if (const auto refused = watch_interval_refused(watch); !refused.empty()) throw UsageError(refused, command);
      parsed.status.watch = std::chrono::milliseconds(std::stoll(watch));
    }
    if (const auto refused = verify_refused(parsed.verify, mode->count() > 0, all); !refused.empty())
      throw UsageError(refused, command);
    if (parsed.init.role.size() > 63) throw UsageError("--role: is longer than the 63 bytes a name may have", command);
    parsed.connection = parameters_of(typed);
  } catch (const CLI::CallForHelp&) {
    // For a subcommand its own help.
    const auto subcommands = app.get_subcommands();
    fmt::print("{}", subcommands.empty() ? app.help() : subcommands.front()->help());
    return std::nullopt;
  } catch (const CLI::CallForVersion&) {
    fmt::print("anabranch {}\n", ANABRANCH_VERSION);
    return std::nullopt;
  } catch (const CLI::ParseError& error) {
    note_command();
    // Of arguments that were not expected only options are quoted: a password may stand among the others.
    std::string message = error.what();
    if (error.get_exit_code() == static_cast<int>(CLI::ExitCodes::ExtrasError)) {
      message = "there is an argument too many";
      for (const auto& extra : app.remaining(true))
        if (extra.starts_with('-') && extra.find('=') == std::string::npos)
          message = fmt::format("unknown option {}", printable(extra));
      if (app.get_subcommands().empty())
        message = fmt::format("there is no such command; commands are {}", names_of(commands));
    }
    if (message.find("-W") != std::string::npos)
      message += " (no password is asked for: use PGPASSWORD or a password file)";
    throw UsageError(message, command);
  }
  parsed.command = command.value();
  return parsed;
}

Settings settings_for(const CommandLine& command_line) {
  auto settings = command_line.config.empty() ? Settings{} : read_config(command_line.config);
  for (const auto& [keyword, value] : command_line.connection) settings.home[keyword] = value;
  // A service named in the connection string is libpq's affair, but its database decides the slot's name: as a variable
  // of the environment libpq tells its defaults (database_of).
  if (const auto service = settings.home.find("service"); service != settings.home.end()) {
    setenv("PGSERVICE", service->second.c_str(), 1);
    settings.home.erase(service);
  }
  return settings;
}

}  // namespace anabranch
