#include "sidecar/cli/verify_screen.hpp"

#include <cmath>
#include <fmt/format.h>

#include "sidecar/cli/finding.hpp"
#include "sidecar/cli/names.hpp"
#include "sidecar/cli/units.hpp"

namespace anabranch {
namespace {

constexpr std::size_t value_bytes_max = 300;

int rank(VerifyExit exit) {
  switch (exit) {
    case VerifyExit::equal:
      return 0;
    case VerifyExit::unknown:
      return 1;
    case VerifyExit::unproved:
      return 2;
    case VerifyExit::differs:
      return 3;
  }
  return 3;
}

// A row of a copy may be long.
std::string shortened(const std::string& json) {
  if (json.size() <= value_bytes_max) return printable(json);
  std::size_t end = value_bytes_max;
  while (end > 0 && (json[end] & 0xc0) == 0x80) --end;
  return printable(json.substr(0, end)) + "...";
}

std::string remedy_of(const VerifyRun& run) {
  switch (exit_of(run)) {
    case VerifyExit::equal:
      return {};
    case VerifyExit::differs:
      // Why a repair was not made says what to do instead.
      if (!run.reason.empty()) return {};
      return fmt::format("anabranch verify {} --repair --wait; or: SELECT anabranch.repair({})", printable(run.copy),
                         run.run);
    case VerifyExit::unproved:
      return run.state == "cancelled" ? "it was cancelled: ask again for a proof"
                                      : "put right what the reason names (anabranch status shows the copy), then ask "
                                        "again";
    case VerifyExit::unknown:
      break;
  }
  return {};
}

std::string text_of(const VerifyRun& run) {
  std::string text = fmt::format("run {}", run.run);
  if (!run.verdict.empty()) text += ": " + printable(run.verdict);
  if (!run.reason.empty()) text += ": " + printable(run.reason);
  return text;
}

const char* label_of(const VerifyRun& run) {
  switch (exit_of(run)) {
    case VerifyExit::equal:
      return run.differing.value_or(0) == 0 ? "equal" : "repaired";
    case VerifyExit::differs:
      return "differs";
    case VerifyExit::unproved:
      return run.state == "cancelled" ? "cancelled" : "failed";
    case VerifyExit::unknown:
      break;
  }
  return "unknown";
}

}  // namespace

VerifyExit worse(VerifyExit a, VerifyExit b) {
  return rank(a) > rank(b) ? a : b;
}

VerifyExit exit_of(const VerifyRun& run) {
  if (!run.ended()) return VerifyExit::unknown;
  // Once compared they differ, whatever came of the repair.
  if (run.left_over.value_or(0) > 0) return VerifyExit::differs;
  return run.state == "done" && run.left_over ? VerifyExit::equal : VerifyExit::unproved;
}

std::string progress_line(const VerifyRun& run) {
  auto line = fmt::format("run {}  {}  {}", run.run, printable(run.copy), run.state);
  if (run.state == "running" && run.chunks_total > 0)
    line += fmt::format(", {} of {}", format_count(run.chunks_done), format_count(run.chunks_total, "chunk"));
  if (run.keys_compared) {
    line += fmt::format(", {} compared", format_count(*run.keys_compared, "key"));
    if (run.keys_per_second) line += fmt::format(", {} keys/s", format_count(std::llround(*run.keys_per_second)));
  }
  if (run.seconds_left)
    line +=
        fmt::format(", {} left", format_duration(std::chrono::milliseconds(std::llround(*run.seconds_left * 1000))));
  if (!run.waiting.empty()) line += fmt::format(", waits: {}", printable(run.waiting));
  return line;
}

std::string verify_report(const VerifyRun& run, const std::vector<VerifyDifference>& differences) {
  auto report = format_finding({Severity::ok, printable(run.copy), text_of(run), remedy_of(run)}, label_of(run));
  for (const VerifyDifference& difference : differences) {
    auto line = fmt::format("{} {}", difference.kind, shortened(difference.key));
    if (!difference.expected.empty()) line += fmt::format(", should be {}", shortened(difference.expected));
    if (!difference.actual.empty()) line += fmt::format(", is {}", shortened(difference.actual));
    if (!difference.outcome.empty()) line += fmt::format(" ({})", difference.outcome);
    report += wrap(line, 4);
  }
  const auto more = run.differing.value_or(0) - static_cast<int64_t>(differences.size());
  if (more <= 0) return report;
  report +=
      differences.empty()
          ? wrap(fmt::format("those who may read the copy see them: SELECT * FROM anabranch.differences WHERE run = {}",
                             run.run),
                 4)
          : wrap(fmt::format("and {} more: SELECT * FROM anabranch.differences WHERE run = {}", format_count(more),
                             run.run),
                 4);
  return report;
}

}  // namespace anabranch
