#include "sidecar/cli/status_screen.hpp"

#include <algorithm>
#include <cmath>
#include <fmt/format.h>

#include "sidecar/cli/names.hpp"
#include "sidecar/cli/status_judge.hpp"
#include "sidecar/cli/units.hpp"

namespace anabranch {
namespace {

constexpr size_t label_columns = 10;
constexpr size_t name_columns = 40;
constexpr size_t state_columns = 13;
constexpr size_t lag_columns = 9;

// `text` in exactly `columns` characters: blanks added, or its end cut off.
std::string fit(std::string_view text, size_t columns) {
  std::string fitted;
  size_t used = 0;
  for (size_t i = 0; i < text.size();) {
    size_t length = 1;
    while (i + length < text.size() && (text[i + length] & 0xc0) == 0x80) ++length;
    // The last column is kept for the sign that something has been cut off.
    if (used + 1 == columns && i + length < text.size()) {
      fitted += "~";
      return fitted;
    }
    fitted += text.substr(i, length);
    i += length;
    ++used;
  }
  fitted.append(columns - used, ' ');
  return fitted;
}

// A line without trailing blanks, at most as wide as the screen.
std::string line(std::string_view text) {
  auto cut = fit(text, screen_columns);
  cut.erase(cut.find_last_not_of(' ') + 1);
  return cut + "\n";
}

std::string labelled(std::string_view label, std::string_view text) {
  return line(fmt::format("{:<{}}{}", label, label_columns, text));
}

std::string sidecar_text(const SourceStatus& source, bool in_recovery) {
  if (!source.sidecar_running)
    return fmt::format("not running; last seen {}",
                       source.seen_age ? format_duration(*source.seen_age) + " ago" : std::string("never"));
  if (!source.slot_active && !in_recovery && source.seen_age)
    return fmt::format("does not read its slot; last seen {} ago on {}, process {}", format_duration(*source.seen_age),
                       printable(source.sidecar_host), source.sidecar_pid);
  return fmt::format("running on {}, process {}, version {}{}", printable(source.sidecar_host), source.sidecar_pid,
                     printable(source.sidecar_version),
                     source.running_for ? ", for " + format_duration(*source.running_for) : std::string());
}

std::string slot_text(const SourceStatus& source) {
  if (source.wal_status.empty()) return fmt::format("{} does not exist", source.slot);
  auto text = fmt::format("{}, {}; {} of WAL kept ({}", source.slot, source.slot_active ? "active" : "not read",
                          format_bytes(source.kept_wal_bytes), source.wal_status);
  if (source.wal_left_bytes) text += fmt::format(", {} left", format_bytes(*source.wal_left_bytes));
  return text + ")";
}

std::string position_text(const SourceStatus& source) {
  return fmt::format("applied {}, confirmed {}", source.applied.to_string(),
                     source.confirmed ? source.confirmed->to_string() : "-");
}

// What is published, how far, and since when; why not is a finding below.
std::string publisher_lines(const PublisherStatus& publisher) {
  const bool is_alive = publisher.running && publisher.state != "stopped";
  auto text = labelled("publisher",
                       fmt::format("{}: topics {}.* in cluster {}", is_alive ? publisher.state : std::string("stopped"),
                                   printable(publisher.prefix), printable(publisher.cluster_id)));
  text += labelled("", is_alive ? fmt::format("on {}, process {}, for {}", printable(publisher.host), publisher.pid,
                                              format_duration(publisher.running_for))
                                : fmt::format("last seen {} ago on {}, process {}", format_duration(publisher.seen_age),
                                              printable(publisher.host), publisher.pid));
  auto position = fmt::format("published {}, {} behind; {} in {}", publisher.published.to_string(),
                              format_bytes(publisher.lag_bytes), format_count(publisher.records, "record"),
                              format_count(publisher.transactions, "transaction"));
  if (publisher.dead_letters > 0) position += fmt::format("; {}", format_count(publisher.dead_letters, "dead letter"));
  return text + labelled("", position);
}

std::string lag_text(const SourceStatus& source, const std::optional<Rates>& rates) {
  const auto lag = source.lag;
  auto text = fmt::format("{}, {}", format_bytes(source.lag_bytes),
                          !lag               ? std::string("nothing applied yet")
                          : lag->count() > 0 ? format_duration(*lag)
                                             : std::string("level"));
  if (rates)
    text += fmt::format("; {} rows/s, {} transactions/s", format_count(std::llround(rates->rows)),
                        format_count(std::llround(rates->transactions)));
  return text;
}

std::string doing(const CopyStatus& copy) {
  if (copy.state == "filling" && copy.fill_rows) {
    auto text = format_count(*copy.fill_rows);
    if (copy.fill_rows_total && *copy.fill_rows_total > 0)
      text += fmt::format(" of ~{} rows ({} %)", format_count(*copy.fill_rows_total),
                          std::min<int64_t>(99, *copy.fill_rows * 100 / *copy.fill_rows_total));
    if (copy.fill_time_left) text += fmt::format(", {} left", format_duration(*copy.fill_time_left));
    return text;
  }
  if (copy.state == "waiting") return "waits to be filled";
  if (copy.state == "catching_up") return "applies what was written during the fill";
  if (copy.severity != Severity::ok) return "see below";
  return {};
}

std::string copy_line(const CopyStatus& copy) {
  std::string rate;
  if (copy.fill_rows_per_second) rate = format_count(std::llround(*copy.fill_rows_per_second)) + "/s";
  return line(fmt::format("{} {} {:>{}} {:>11}  {}", fit(printable(copy.name), name_columns),
                          fit(copy.state, state_columns), copy.lag_bytes ? format_bytes(*copy.lag_bytes) : "-",
                          lag_columns, rate, doing(copy)));
}

std::string copy_lines(const std::vector<CopyStatus>& copies) {
  auto text = line(fmt::format("{:<{}} {:<{}} {:>{}} {:>11}  {}", "copy", name_columns, "state", state_columns, "lag",
                               lag_columns, "rows", "progress"));
  auto sorted = copies;
  std::stable_sort(sorted.begin(), sorted.end(),
                   [](const auto& a, const auto& b) { return worse(b.severity, a.severity); });
  size_t hidden = 0;
  for (size_t i = 0; i < sorted.size(); ++i) {
    const auto& copy = sorted[i];
    // Those that need somebody's attention, or are on their way, are always shown.
    if (sorted.size() - hidden > copies_listed_max && copy.state == "live" && copy.severity == Severity::ok)
      ++hidden;
    else
      text += copy_line(copy);
  }
  if (hidden > 0) text += line(fmt::format("and {} more that are live", format_count(static_cast<int64_t>(hidden))));
  return text;
}

std::string doing(const IndexStatus& index) {
  if (index.severity == Severity::critical) return "see below";
  if (index.state == "filling" || index.state == "rebuilding")
    return fmt::format("{} of ~{}", format_count(index.swept), format_count(index.documents_all));
  return index.severity != Severity::ok ? "see below" : "";
}

std::string index_lines(const std::vector<IndexStatus>& indexes) {
  auto text = line(fmt::format("{:<{}} {:<{}} {:>{}} {:>11}  {}", "index", name_columns, "state", state_columns, "lag",
                               lag_columns, "sent", "progress"));
  for (const auto& index : indexes)
    text += line(fmt::format("{} {} {:>{}} {:>11}  {}", fit(printable(index.name), name_columns),
                             fit(index.state, state_columns), index.lag_bytes ? format_bytes(*index.lag_bytes) : "-",
                             lag_columns, format_count(index.documents), doing(index)));
  return text;
}

}  // namespace

std::string status_screen(const StatusFacts& facts, const std::optional<Rates>& rates,
                          const std::vector<Finding>& findings) {
  auto screen = line(fmt::format("anabranch {}, {}, {}", ANABRANCH_VERSION, printable(facts.server), facts.time));
  screen += '\n';
  if (facts.source) {
    const auto& source = *facts.source;
    screen += labelled("sidecar", sidecar_text(source, facts.in_recovery));
    if (facts.in_recovery) {
      screen += labelled("slot", "kept by the primary; this is a standby");
    } else {
      screen += labelled("slot", slot_text(source));
    }
    screen += labelled("", position_text(source));
    screen += labelled("lag", lag_text(source, rates));
    for (const auto& slot : facts.fill_slots)
      screen += labelled("fill slot", fmt::format("{}; {} of WAL kept", slot.name, format_bytes(slot.kept_wal_bytes)));
    screen += '\n';
  }
  for (const auto& publisher : facts.publishers) screen += publisher_lines(publisher);
  if (!facts.publishers.empty()) screen += '\n';
  if (facts.copies.empty())
    screen += facts.extension_version.empty() ? "" : "no copies yet: SELECT anabranch.create_aggregate_table(...)\n";
  else
    screen += copy_lines(facts.copies);
  screen += '\n';
  if (!facts.indexes.empty()) screen += index_lines(facts.indexes) + '\n';
  if (findings.empty()) screen += "ok\n";
  for (const auto& finding : findings) screen += format_finding(finding);
  return screen;
}

}  // namespace anabranch
