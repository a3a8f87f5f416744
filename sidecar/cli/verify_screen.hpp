// What `anabranch verify` prints of a run.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace anabranch {

// Exit codes of `anabranch verify`: their values stay.
enum class VerifyExit : uint8_t { equal = 0, differs = 1, unproved = 2, unknown = 3 };

// One in place of several. That something differs is sure whatever else is not.
VerifyExit worse(VerifyExit a, VerifyExit b);

// A row of anabranch.verifications.
struct VerifyRun {
  int64_t run = 0;
  std::string copy;   // qualified and quoted by the server
  std::string state;  // queued, running, done, failed, cancelled
  bool repairs = false;
  int64_t chunks_done = 0, chunks_total = 0;
  std::optional<int64_t> keys_compared;
  std::optional<double> keys_per_second, seconds_left;
  std::optional<int64_t> differing, left_over;
  std::string waiting, verdict, reason;  // empty: nothing

  bool ended() const { return state != "queued" && state != "running"; }
};

// A row of anabranch.differences. `key`, `expected` and `actual` are JSON; empty: none.
struct VerifyDifference {
  std::string kind, key, expected, actual, outcome;
};

VerifyExit exit_of(const VerifyRun& run);

// How far a run is, in a line without its end.
std::string progress_line(const VerifyRun& run);

// What a run that has ended has proved, with the remedy; and the differences, of which there may be more.
std::string verify_report(const VerifyRun& run, const std::vector<VerifyDifference>& differences);

}  // namespace anabranch
