#include "sidecar/cli/status_judge.hpp"

#include <algorithm>
#include <fmt/format.h>

#include "sidecar/cli/names.hpp"
#include "sidecar/cli/units.hpp"

namespace anabranch {
namespace {

std::string resume(const CopyStatus& copy) {
  return fmt::format("SELECT anabranch.resume({});", printable(quote_literal(copy.name)));
}

std::string ago(const std::optional<milliseconds>& age) {
  return age ? fmt::format("{} ago", format_duration(*age)) : "never";
}

void judge_sidecar(const SourceStatus& source, bool copies, std::vector<Finding>& findings) {
  if (source.sidecar_running) {
    if (!source.slot_active && !source.wal_status.empty() && source.wal_status != "lost")
      findings.push_back({Severity::warning, "sidecar", fmt::format("does not read slot \"{}\"", source.slot),
                          "see the sidecar's log for the reason"});
    if (source.sidecar_version != ANABRANCH_VERSION)
      findings.push_back(
          {Severity::warning, "sidecar",
           fmt::format("is version {}, this program is {}", printable(source.sidecar_version), ANABRANCH_VERSION),
           "restart the sidecar with the version of this program"});
    return;
  }
  // Without copies nothing is out of date, but the slot still keeps WAL.
  findings.push_back({copies ? Severity::critical : Severity::warning, "sidecar",
                      fmt::format("is not running: last seen {}, on host {}, process {}", ago(source.seen_age),
                                  printable(source.sidecar_host), source.sidecar_pid),
                      "start it: anabranch run; its log says why it stopped"});
}

void judge_slot(const SourceStatus& source, bool in_recovery, int64_t limit, std::vector<Finding>& findings) {
  if (in_recovery) return;  // slots are the primary's
  const auto subject = fmt::format("slot {}", source.slot);
  if (source.wal_status.empty()) {
    findings.push_back({Severity::critical, subject,
                        "does not exist: changes made since it went are lost to the copies",
                        "anabranch init, then anabranch run; it names the copies to fill anew"});
    return;
  }
  if (source.wal_status == "lost") {
    findings.push_back({Severity::critical, subject,
                        "has been invalidated: it passed max_slot_wal_keep_size, and WAL it needed is gone",
                        fmt::format("SELECT pg_drop_replication_slot('{}'); then anabranch init and anabranch run; the "
                                    "copies are to be filled anew with anabranch.resume",
                                    source.slot)});
    return;
  }
  if (source.confirmed && *source.confirmed > source.applied)
    findings.push_back(
        {Severity::critical, subject,
         fmt::format("is confirmed to {}, beyond what has been applied ({}): changes are lost to the copies",
                     source.confirmed->to_string(), source.applied.to_string()),
         "restart anabranch run; it names the copies to fill anew"});
  if (source.wal_status == "unreserved") {
    findings.push_back({Severity::critical, subject, "is about to lose WAL that it needs",
                        "start the sidecar, or raise max_slot_wal_keep_size and reload"});
    return;
  }
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
      {share < status_bounds::wal_kept_critical ? Severity::warning : Severity::critical, subject,
       fmt::format("keeps {} of WAL, {:.0f} % of what it may ({})", format_bytes(source.kept_wal_bytes), share * 100,
                   format_bytes(bound)),
       "find what holds it back: a stopped sidecar, a long transaction, a copy that is filling or paused"});
}

void judge_lag(const SourceStatus& source, std::vector<Finding>& findings) {
  const auto lag = lag_of(source);
  if (!source.sidecar_running || !lag || *lag < status_bounds::lag_warning) return;
  findings.push_back(
      {*lag < status_bounds::lag_critical ? Severity::warning : Severity::critical, "lag",
       fmt::format("live copies are {} behind ({} of WAL)", format_duration(*lag), format_bytes(source.lag_bytes)),
       "look at rows/s above and at long transactions below; one very large transaction shows as a lag until "
       "it has been applied"});
}

void judge_holder(const StatusFacts& facts, std::vector<Finding>& findings) {
  if (!facts.holder) return;
  const auto& holder = *facts.holder;
  auto text = fmt::format("{} has held a snapshot for {}; old row versions pile up in hot groups",
                          printable(holder.who), format_duration(holder.age));
  if (!holder.query.empty()) text += fmt::format(". Its query: {}", printable(holder.query));
  findings.push_back(
      {Severity::warning, "snapshot", text, "end it if it is forgotten: " + printable(holder.remedy) + ";"});
}

void judge_prepared(const StatusFacts& facts, std::vector<Finding>& findings) {
  for (const auto& prepared : facts.prepared) {
    if (prepared.age < status_bounds::prepared_warning) continue;
    const auto gid = printable(quote_literal(prepared.gid));
    findings.push_back({Severity::warning, "prepared transaction",
                        fmt::format("{} of role {} has been prepared for {}; the slot keeps all WAL since", gid,
                                    printable(prepared.owner), format_duration(prepared.age)),
                        fmt::format("COMMIT PREPARED {0}; or ROLLBACK PREPARED {0};", gid)});
  }
}

void judge_fill_slots(const StatusFacts& facts, std::vector<Finding>& findings) {
  for (const auto& slot : facts.fill_slots) {
    if (slot.wanted || slot.active || facts.source->sidecar_running) continue;
    findings.push_back(
        {Severity::warning, fmt::format("slot {}", slot.name),
         fmt::format("belongs to no copy any more and keeps {} of WAL", format_bytes(slot.kept_wal_bytes)),
         fmt::format("anabranch run drops it; or: SELECT pg_drop_replication_slot('{}');", slot.name)});
  }
}

void judge_copy(const CopyStatus& copy, std::vector<Finding>& findings) {
  const auto severity = severity_of(copy);
  if (severity == Severity::ok) return;
  Finding finding{severity, printable(copy.name), {}, resume(copy)};
  const auto reason = printable(copy.reason);
  if (copy.state == "failed") {
    finding.text =
        fmt::format("has failed ({}){}: {}", copy.sqlstate,
                    copy.failed_lsn ? " in the transaction that ends at " + copy.failed_lsn->to_string() : "", reason);
    finding.remedy = "put the cause right, then: " + resume(copy);
  } else if (copy.state == "stale") {
    finding.text = fmt::format("is stale: {}", reason);
    finding.remedy = fmt::format("if its query still holds: {}\notherwise drop it and create it anew", resume(copy));
  } else if (copy.state == "unbound") {
    finding.text = "was restored from a dump and has not been filled";
  } else if (!copy.problem.empty()) {
    finding.text = printable(copy.problem);
    finding.remedy = fmt::format("grant it to {} again, then: {}", printable(copy.owner), resume(copy));
  } else if (copy.pause_requested) {
    finding.text = "is paused";
  } else {
    finding.text = "is paused and waits for the sidecar to go on";
    finding.remedy = "see that the sidecar runs";
  }
  findings.push_back(std::move(finding));
}

}  // namespace

std::optional<milliseconds> lag_of(const SourceStatus& source) {
  if (source.lag_bytes < status_bounds::lag_bytes_level && source.sidecar_running) return milliseconds(0);
  return source.current_age;
}

Severity severity_of(const CopyStatus& copy) {
  if (copy.state == "failed" || copy.state == "stale" || copy.state == "unbound" || !copy.problem.empty())
    return Severity::critical;
  return copy.state == "paused" ? Severity::warning : Severity::ok;
}

std::vector<Finding> judge(const StatusFacts& facts, int64_t wal_keep_limit_bytes) {
  std::vector<Finding> findings;
  if (facts.extension_version.empty()) {
    findings.push_back({Severity::unknown, "extension",
                        fmt::format("anabranch is not in database \"{}\"", printable(facts.database)),
                        "anabranch init"});
    return findings;
  }
  if (facts.extension_version != ANABRANCH_VERSION)
    findings.push_back(
        {Severity::warning, "extension",
         fmt::format("is version {}, this program is {}", printable(facts.extension_version), ANABRANCH_VERSION),
         "anabranch init, with the newer of the two installed on the server"});
  if (facts.source) {
    judge_sidecar(*facts.source, !facts.copies.empty(), findings);
    judge_slot(*facts.source, facts.in_recovery, wal_keep_limit_bytes, findings);
    judge_lag(*facts.source, findings);
    judge_fill_slots(facts, findings);
  } else {
    findings.push_back({facts.copies.empty() ? Severity::warning : Severity::critical, "sidecar",
                        "has not run on this database yet", "anabranch init, then anabranch run"});
  }
  judge_holder(facts, findings);
  judge_prepared(facts, findings);
  for (const auto& copy : facts.copies) judge_copy(copy, findings);
  std::stable_sort(findings.begin(), findings.end(),
                   [](const auto& a, const auto& b) { return worse(b.severity, a.severity); });
  return findings;
}

}  // namespace anabranch
