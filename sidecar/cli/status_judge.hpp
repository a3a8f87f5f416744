// How bad what `anabranch status` saw is, and what to do about it. Pure.
#pragma once

#include <vector>

#include "sidecar/cli/finding.hpp"
#include "sidecar/cli/status_facts.hpp"

namespace anabranch {

// Of what the slot may keep. The same for everybody: monitoring that wants other bounds reads --json.
namespace status_bounds {
inline constexpr double wal_kept_warning = 0.5;
inline constexpr double wal_kept_critical = 0.9;
}  // namespace status_bounds

// One finding for each thing that is not as it should be, the worst last; empty where all is well. The extension judges
// (the view anabranch.findings); added here is what it cannot know: this program's version, and how near the WAL kept
// is to the settings' bound, `wal_keep_limit`, in bytes.
std::vector<Finding> judge(const StatusFacts& facts, int64_t wal_keep_limit_bytes);

}  // namespace anabranch
