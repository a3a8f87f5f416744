// How bad what `anabranch status` saw is, and what to do about it. Pure.
#pragma once

#include <vector>

#include "sidecar/cli/finding.hpp"
#include "sidecar/cli/status_facts.hpp"

namespace anabranch {

// Bounds past which a thing is a warning, or critical. The same for everybody: monitoring that wants others reads
// --json.
namespace status_bounds {
inline constexpr milliseconds lag_warning{30'000};
inline constexpr milliseconds lag_critical{600'000};
// Less than this behind is level: the server writes WAL of its own all the time.
inline constexpr int64_t lag_bytes_level = int64_t{1} << 20;
// Of what the slot may keep.
inline constexpr double wal_kept_warning = 0.5;
inline constexpr double wal_kept_critical = 0.9;
inline constexpr milliseconds prepared_warning{300'000};
}  // namespace status_bounds

// How far the live copies are behind in time, as far as can be told: 0 when level. nullopt: nothing has been applied
// yet.
std::optional<milliseconds> lag_of(const SourceStatus& source);

// One finding for each thing that is not as it should be, the worst last; empty where all is well. `wal_keep_limit` is
// the settings' bound in bytes.
std::vector<Finding> judge(const StatusFacts& facts, int64_t wal_keep_limit_bytes);

// Of one copy alone.
Severity severity_of(const CopyStatus& copy);

}  // namespace anabranch
