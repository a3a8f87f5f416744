// The program: reads what it is told, and does it.
#include <fmt/format.h>

#include <exception>

#include "sidecar/cli/check.hpp"
#include "sidecar/cli/command_line.hpp"
#include "sidecar/cli/config.hpp"
#include "sidecar/cli/diagnose.hpp"
#include "sidecar/cli/drop.hpp"
#include "sidecar/cli/init.hpp"
#include "sidecar/cli/status.hpp"

namespace anabranch {
namespace {

constexpr int exit_failure = 1;
constexpr int exit_usage = 2;

int perform(const CommandLine& command_line, const Settings& settings) {
  switch (command_line.command) {
    case Command::init:
      return init(settings, command_line.init);
    case Command::status:
      return status(settings, command_line.status);
    case Command::check:
      return check(settings);
    case Command::drop:
      return drop(settings, command_line.drop);
    default:
      return exit_failure;
  }
}

int main(int argc, const char* const* argv) {
  const auto command_line = parse_command_line(argc, argv);
  if (!command_line) return 0;
  const auto settings = settings_for(*command_line);
  try {
    return perform(*command_line, settings);
  } catch (const PgError& error) {
    fmt::print(stderr, "anabranch: {}", format_finding(diagnose(error, Attempt::connection, settings)));
    return exit_failure;
  }
}

}  // namespace
}  // namespace anabranch

int main(int argc, char** argv) {
  try {
    return anabranch::main(argc, argv);
  } catch (const anabranch::UsageError& error) {
    fmt::print(stderr, "anabranch: {}\nanabranch --help lists commands and options\n", error.what());
    return anabranch::exit_usage;
  } catch (const anabranch::ConfigError& error) {
    fmt::print(stderr, "{}\n", error.what());
    return anabranch::exit_usage;
  } catch (const std::exception& error) {
    fmt::print(stderr, "anabranch: {}\n", error.what());
    return anabranch::exit_failure;
  }
}
