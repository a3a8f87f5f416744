#include "sidecar/cli/status_judge.hpp"

#include <algorithm>
#include <fmt/format.h>

#include "sidecar/cli/names.hpp"
#include "sidecar/cli/units.hpp"

namespace anabranch {
namespace {

void judge_versions(const StatusFacts& facts, std::vector<Finding>& findings) {
  if (facts.extension_version != ANABRANCH_VERSION)
    findings.push_back(
        {Severity::warning, "extension",
         fmt::format("is version {}, this program is {}", printable(facts.extension_version), ANABRANCH_VERSION),
         "anabranch init, with the newer of the two installed on the server"});
  if (facts.source && facts.source->sidecar_running && facts.source->sidecar_version != ANABRANCH_VERSION)
    findings.push_back(
        {Severity::warning, "sidecar",
         fmt::format("is version {}, this program is {}", printable(facts.source->sidecar_version), ANABRANCH_VERSION),
         "restart the sidecar with the version of this program"});
}

void judge_wal_kept(const SourceStatus& source, int64_t limit, std::vector<Finding>& findings) {
  // The nearer of the two bounds counts: ours, past which copies are let go, and the server's, past which all are.
  const double kept = static_cast<double>(source.kept_wal_bytes);
  double share = limit > 0 ? kept / static_cast<double>(limit) : 0;
  int64_t bound = limit;
  if (source.wal_left_bytes) {
    const double server_bound = kept + static_cast<double>(*source.wal_left_bytes);
    if (server_bound > 0 && kept / server_bound > share) {
      share = kept / server_bound;
      bound = source.kept_wal_bytes + *source.wal_left_bytes;
    }
  }
  if (share < status_bounds::wal_kept_warning) return;
  findings.push_back(
      {share < status_bounds::wal_kept_critical ? Severity::warning : Severity::critical, "slot",
       fmt::format("replication slot \"{}\" keeps {} of WAL, {:.0f} % of what it may ({})", source.slot,
                   format_bytes(source.kept_wal_bytes), share * 100, format_bytes(bound)),
       "find what holds it back: a stopped sidecar, a long transaction, a copy that is filling or paused"});
}

}  // namespace

std::vector<Finding> judge(const StatusFacts& facts, int64_t wal_keep_limit_bytes) {
  if (facts.extension_version.empty())
    return {{Severity::unknown, "extension",
             fmt::format("anabranch is not in database \"{}\"", printable(facts.database)), "anabranch init"}};
  std::vector<Finding> findings;
  judge_versions(facts, findings);
  // Of a slot that is lost, or about to be, the extension says so; on a standby it is the primary's.
  if (facts.source && !facts.in_recovery &&
      (facts.source->wal_status == "reserved" || facts.source->wal_status == "extended"))
    judge_wal_kept(*facts.source, wal_keep_limit_bytes, findings);
  findings.insert(findings.end(), facts.findings.begin(), facts.findings.end());
  std::stable_sort(findings.begin(), findings.end(),
                   [](const auto& a, const auto& b) { return worse(b.severity, a.severity); });
  return findings;
}

}  // namespace anabranch
