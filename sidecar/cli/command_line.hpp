// The command line: psql's options for the connection, a subcommand, its options.
#pragma once

#include <chrono>
#include <optional>
#include <stdexcept>
#include <string>
#include <vector>

#include "sidecar/cli/settings.hpp"
#include "sidecar/run.hpp"

namespace anabranch {

enum class Command { init, run, status, verify, check, drop, schema, adopt, audit, tail };

struct InitOptions {
  bool apply = false;  // change server settings with ALTER SYSTEM where that is needed
  bool sql = false;    // print the script instead of doing it
  std::string role;    // prepare this role for the sidecar; empty: none
};

struct RunOptions {
  RunSettings::Part part = RunSettings::Part::both;
};

struct StatusOptions {
  bool json = false;
  std::optional<std::chrono::milliseconds> watch;  // print again at this interval
};

struct VerifyOptions {
  std::vector<std::string> copies;  // as SQL writes them; empty: all that the role may control
  std::string mode = "full";        // or sketch, keys
  std::string keys;                 // JSON, for mode keys
  double duty = 0.1;                // share of the time in which the sources are read
  bool repair = false;
  bool wait = false;  // and show how far they are until they have ended
  bool json = false;
};

struct DropOptions {
  bool yes = false;        // drop; otherwise list
  bool extension = false;  // the extension too
};

struct SchemaOptions {
  std::string table;  // as SQL writes it: schema.name
};

struct TailOptions {
  std::vector<std::string> topics;  // with the prefix or without; empty: all
  uint64_t count = 10;              // transactions
  bool follow = false;              // and those to come
};

struct CommandLine {
  Command command = Command::run;
  std::string config;               // path of the settings file; empty: none
  ConnectionParameters connection;  // what -h, -p, -U and -d said
  InitOptions init;
  RunOptions run;
  StatusOptions status;
  VerifyOptions verify;
  DropOptions drop;
  SchemaOptions schema;
  TailOptions tail;
};

// A command line that is not understood, with the remedy. what() never quotes an argument that may hold a password.
class UsageError : public std::runtime_error {
 public:
  UsageError(const std::string& message, std::optional<Command> command)
      : std::runtime_error(message), command(command) {}

  std::optional<Command> command;  // the subcommand, where one was recognised
};

// Parses the arguments. nullopt where --help or --version has been asked for and printed to stdout. Throws UsageError.
std::optional<CommandLine> parse_command_line(int argc, const char* const* argv);

// The file's settings with the command line's laid over them.
Settings settings_for(const CommandLine& command_line);

}  // namespace anabranch
