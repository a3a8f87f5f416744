// The program: reads what it is told, does it, and says how it went.
#include <fmt/format.h>

#include <exception>

#include "sidecar/cli/audit.hpp"
#include "sidecar/cli/check.hpp"
#include "sidecar/cli/command_line.hpp"
#include "sidecar/cli/config.hpp"
#include "sidecar/cli/diagnose.hpp"
#include "sidecar/cli/drop.hpp"
#include "sidecar/cli/init.hpp"
#include "sidecar/cli/run_command.hpp"
#include "sidecar/cli/schema.hpp"
#include "sidecar/cli/status.hpp"
#include "sidecar/cli/tail.hpp"
#include "sidecar/cli/verify.hpp"

namespace anabranch {
namespace {

constexpr int exit_failure = 1;
constexpr int exit_usage = 2;

int perform(const CommandLine& command_line, const Settings& settings) {
  switch (command_line.command) {
    case Command::init:
      return init(settings, command_line.init);
    case Command::run:
      return run_until_stopped(command_line, settings);
    case Command::status:
      return status(settings, command_line.status);
    case Command::verify:
      return verify(settings, command_line.verify);
    case Command::check:
      return check(settings);
    case Command::drop:
      return drop(settings, command_line.drop);
    case Command::audit:
      return audit(settings);
    case Command::tail:
      return tail(settings, command_line.tail);
    case Command::adopt:
      return adopt_topics(settings);
    case Command::schema:
      return schema(settings, command_line.schema);
  }
  return exit_usage;
}

// To monitoring, whatever keeps status or verify from an answer is "unknown": 1 and 2 are answers there.
int exit_code(std::optional<Command> command, int otherwise) {
  return command == Command::status || command == Command::verify ? static_cast<int>(Severity::unknown) : otherwise;
}

int tell_story(int argc, const char* const* argv) {
  std::optional<Command> command;
  try {
    const auto command_line = parse_command_line(argc, argv);
    if (!command_line) return 0;
    command = command_line->command;
    const auto settings = settings_for(*command_line);
    try {
      return perform(*command_line, settings);
    } catch (const PgError& error) {
      const auto attempt = error.sqlstate() == "08006" ? Attempt::statement : Attempt::connection;
      fmt::print(stderr, "{}", format_finding(diagnose(error, attempt, settings)));
    }
    return exit_code(command, exit_failure);
  } catch (const UsageError& error) {
    fmt::print(stderr, "anabranch: {}\nanabranch --help lists commands and options\n", error.what());
    return exit_code(error.command, exit_usage);
  } catch (const ConfigError& error) {
    fmt::print(stderr, "{}\n", error.what());
    return exit_code(command, exit_usage);
  } catch (const std::exception& error) {
    fmt::print(stderr, "anabranch: {}\n", error.what());
    return exit_code(command, exit_failure);
  }
}

}  // namespace
}  // namespace anabranch

int main(int argc, char** argv) {
  return anabranch::tell_story(argc, argv);
}
