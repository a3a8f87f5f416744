#include "sidecar/cli/status_facts.hpp"

#include <algorithm>
#include <charconv>

#include "sidecar/cli/names.hpp"

namespace anabranch {
namespace {

std::optional<int64_t> optional_integer(const Result& rows, size_t row, size_t column) {
  if (rows.null(row, column)) return std::nullopt;
  return rows.integer(row, column);
}

std::optional<milliseconds> optional_age(const Result& rows, size_t row, size_t column) {
  if (rows.null(row, column)) return std::nullopt;
  return milliseconds(rows.integer(row, column));
}

void read_server(Connection& connection, StatusFacts& facts) {
  const auto row = connection.exec(
      "SELECT pg_catalog.current_database(), pg_catalog.to_char(pg_catalog.clock_timestamp() AT TIME ZONE 'UTC',"
      " 'YYYY-MM-DD HH24:MI:SS \"UTC\"'), pg_catalog.pg_is_in_recovery(),"
      " coalesce((SELECT extversion FROM pg_catalog.pg_extension WHERE extname = 'anabranch'), '')");
  facts.database = row.text(0, 0);
  facts.time = row.text(0, 1);
  facts.in_recovery = row.boolean(0, 2);
  facts.extension_version = row.text(0, 3);
  facts.server = connection.description();
}

// A moment as its age in milliseconds.
std::string age(const std::string& moment) {
  return "(extract(epoch FROM pg_catalog.clock_timestamp() - " + moment + ") * 1000)::bigint";
}

void read_source(Connection& connection, StatusFacts& facts) {
  enum {
    name,
    slot,
    publication,
    applied,
    confirmed,
    lag,
    source_lag,
    wal_status,
    kept,
    left,
    active,
    running,
    seen_age,
    running_for,
    host,
    pid,
    version,
    rows,
    transactions
  };
  const auto row = connection.exec(
      "SELECT s.name, s.slot, s.publication, s.lsn, s.confirmed_lsn, greatest(s.lag_bytes, 0),"
      " (extract(epoch FROM s.lag) * 1000)::bigint, coalesce(s.wal_status, ''), coalesce(s.kept_wal_bytes, 0), "
      "k.safe_wal_size, s.slot_active,"
      " coalesce(s.sidecar_running, false), " +
      age("s.seen_at") + ", " + age("s.started_at") +
      ", coalesce(s.sidecar_host, ''), coalesce(s.sidecar_pid, 0), coalesce(s.sidecar_version, ''), s.applied_rows,"
      " s.applied_transactions FROM anabranch.sources AS s"
      " LEFT JOIN pg_catalog.pg_replication_slots AS k ON k.slot_name = s.slot WHERE s.name = 'home'");
  if (row.rows() == 0) return;
  auto& source = facts.source.emplace();
  source.name = row.text(0, name);
  source.slot = row.text(0, slot);
  source.publication = row.text(0, publication);
  source.applied = row.lsn(0, applied);
  source.confirmed = row.optional_lsn(0, confirmed);
  source.lag_bytes = row.integer(0, lag);
  source.lag = optional_age(row, 0, source_lag);
  source.wal_status = row.text(0, wal_status);
  source.kept_wal_bytes = row.integer(0, kept);
  source.wal_left_bytes = optional_integer(row, 0, left);
  source.slot_active = row.boolean(0, active);
  source.sidecar_running = row.boolean(0, running);
  source.seen_age = optional_age(row, 0, seen_age);
  source.running_for = optional_age(row, 0, running_for);
  source.sidecar_host = row.text(0, host);
  source.sidecar_pid = row.integer(0, pid);
  source.sidecar_version = row.text(0, version);
  source.applied_rows = row.integer(0, rows);
  source.applied_transactions = row.integer(0, transactions);
}

void read_publishers(Connection& connection, StatusFacts& facts) {
  const auto rows = connection.exec(
      "SELECT source, prefix, cluster_id, state, coalesce(reason, ''), running, lsn, greatest(lag_bytes, 0), records,"
      " transactions, dead_letters, " +
      age("seen_at") + ", " + age("started_at") +
      ", coalesce(sidecar_host, ''), coalesce(sidecar_pid, 0) FROM anabranch.publishers ORDER BY source");
  for (size_t row = 0; row < rows.rows(); ++row) {
    auto& publisher = facts.publishers.emplace_back();
    publisher.source = rows.text(row, 0);
    publisher.prefix = rows.text(row, 1);
    publisher.cluster_id = rows.text(row, 2);
    publisher.state = rows.text(row, 3);
    publisher.reason = rows.text(row, 4);
    publisher.running = rows.boolean(row, 5);
    publisher.published = rows.lsn(row, 6);
    publisher.lag_bytes = rows.integer(row, 7);
    publisher.records = rows.integer(row, 8);
    publisher.transactions = rows.integer(row, 9);
    publisher.dead_letters = rows.integer(row, 10);
    publisher.seen_age = milliseconds(rows.integer(row, 11));
    publisher.running_for = milliseconds(rows.integer(row, 12));
    publisher.host = rows.text(row, 13);
    publisher.pid = rows.integer(row, 14);
  }
}

void read_copies(Connection& connection, StatusFacts& facts) {
  enum {
    name,
    owner,
    state,
    requested,
    copy_class,
    lsn,
    lag,
    fill_rows,
    fill_rows_total,
    fill_rate,
    time_left,
    sqlstate,
    reason,
    failed_lsn,
    problem
  };
  const auto rows = connection.exec(
      "SELECT copy::text, owner::text, state, requested, class, lsn, greatest(lag_bytes, 0), fill_rows, "
      "fill_rows_total,"
      " fill_rows_per_second, (extract(epoch FROM fill_time_left) * 1000)::bigint, coalesce(sqlstate, ''),"
      " coalesce(reason, ''), failed_lsn, coalesce(problem, '') FROM anabranch.copies ORDER BY 1");
  for (size_t row = 0; row < rows.rows(); ++row) {
    auto& copy = facts.copies.emplace_back();
    copy.name = rows.text(row, name);
    copy.owner = rows.text(row, owner);
    copy.state = rows.text(row, state);
    copy.pause_requested = rows.text(row, requested) == "pause";
    copy.copy_class = rows.text(row, copy_class);
    copy.lsn = rows.optional_lsn(row, lsn);
    copy.lag_bytes = optional_integer(rows, row, lag);
    copy.fill_rows = optional_integer(rows, row, fill_rows);
    copy.fill_rows_total = optional_integer(rows, row, fill_rows_total);
    if (!rows.null(row, fill_rate)) {
      const auto text = rows.text(row, fill_rate);
      double rate = 0;
      std::from_chars(text.data(), text.data() + text.size(), rate);
      copy.fill_rows_per_second = rate;
    }
    copy.fill_time_left = optional_age(rows, row, time_left);
    copy.sqlstate = rows.text(row, sqlstate);
    copy.reason = rows.text(row, reason);
    copy.failed_lsn = rows.optional_lsn(row, failed_lsn);
    copy.problem = rows.text(row, problem);
  }
}

void read_indexes(Connection& connection, StatusFacts& facts) {
  const auto rows = connection.exec(
      "SELECT index::text, engine, state, lsn, greatest(lag_bytes, 0), documents, swept, greatest(rows_estimated, "
      "swept), "
      "refused, coalesce(problem, '') FROM anabranch.indexes ORDER BY 1");
  for (size_t row = 0; row < rows.rows(); ++row) {
    auto& index = facts.indexes.emplace_back();
    index.name = rows.text(row, 0);
    index.engine = rows.text(row, 1);
    index.state = rows.text(row, 2);
    index.lsn = rows.optional_lsn(row, 3);
    index.lag_bytes = optional_integer(rows, row, 4);
    index.documents = rows.integer(row, 5);
    index.swept = rows.integer(row, 6);
    index.documents_all = rows.integer(row, 7);
    index.refused = rows.integer(row, 8);
    index.problem = rows.text(row, 9);
  }
}

// Its query only where this role may see it.
void read_holder(Connection& connection, StatusFacts& facts) {
  const auto held = connection.exec(
      "SELECT h.holder, " + age("h.since") +
      ", coalesce(pg_catalog.left(pg_catalog.regexp_replace(a.query, '\\s+', ' ', 'g'), 200), ''), h.remedy"
      " FROM anabranch.snapshot_holder() AS h LEFT JOIN pg_catalog.pg_stat_activity AS a"
      "   ON a.pid = h.pid AND a.query <> '<insufficient privilege>' WHERE h.holder IS NOT NULL");
  if (held.rows() > 0)
    facts.holder = {std::string(held.text(0, 0)), milliseconds(held.integer(0, 1)), std::string(held.text(0, 2)),
                    std::string(held.text(0, 3))};
}

void read_prepared(Connection& connection, StatusFacts& facts) {
  const auto rows = connection.exec("SELECT gid, owner, " + age("prepared") +
                                    " FROM pg_catalog.pg_prepared_xacts"
                                    " WHERE database = pg_catalog.current_database() ORDER BY prepared LIMIT 10");
  for (size_t row = 0; row < rows.rows(); ++row)
    facts.prepared.push_back(
        {std::string(rows.text(row, 0)), std::string(rows.text(row, 1)), milliseconds(rows.integer(row, 2))});
}

void read_fill_slots(Connection& connection, StatusFacts& facts) {
  if (!facts.source || facts.in_recovery) return;
  const auto rows = connection.exec(
      "SELECT k.slot_name, coalesce(pg_catalog.pg_wal_lsn_diff(pg_catalog.pg_current_wal_lsn(), k.restart_lsn), "
      "0)::bigint,"
      " k.active, EXISTS (SELECT FROM anabranch.copies AS c WHERE k.slot_name = $1::text || '_fill_' || c.id"
      "   AND c.state IN ('waiting', 'filling', 'catching_up', 'paused'))"
      " FROM pg_catalog.pg_replication_slots AS k WHERE k.slot_name ~ ('^' || $1::text || '_fill_[0-9]+$')"
      " AND k.database = pg_catalog.current_database() ORDER BY k.slot_name",
      Parameters().text(facts.source->slot));
  for (size_t row = 0; row < rows.rows(); ++row)
    facts.fill_slots.push_back(
        {std::string(rows.text(row, 0)), rows.integer(row, 1), rows.boolean(row, 2), rows.boolean(row, 3)});
}

template <typename Status>
void set_severity(std::vector<Status>& all, std::string_view name, Severity severity) {
  const auto found = std::find_if(all.begin(), all.end(), [&](const Status& one) { return one.name == name; });
  if (found != all.end() && worse(severity, found->severity)) found->severity = severity;
}

// How bad it all is, in the extension's judgement.
void read_findings(Connection& connection, StatusFacts& facts) {
  const auto rows = connection.exec(
      "SELECT kind, level, subject, problem, coalesce(remedy, '') FROM anabranch.findings WHERE level <> "
      "'ok'");
  for (size_t row = 0; row < rows.rows(); ++row) {
    const Severity severity = rows.text(row, 1) == "warning" ? Severity::warning : Severity::critical;
    if (rows.text(row, 0) == "copy") set_severity(facts.copies, rows.text(row, 2), severity);
    if (rows.text(row, 0) == "index") set_severity(facts.indexes, rows.text(row, 2), severity);
    facts.findings.push_back(
        {severity, printable(rows.text(row, 2)), printable(rows.text(row, 3)), printable(rows.text(row, 4))});
  }
}

}  // namespace

StatusFacts read_status(Connection& connection) {
  StatusFacts facts;
  read_server(connection, facts);
  if (facts.extension_version.empty()) return facts;
  read_source(connection, facts);
  read_publishers(connection, facts);
  read_copies(connection, facts);
  read_indexes(connection, facts);
  read_holder(connection, facts);
  read_prepared(connection, facts);
  read_fill_slots(connection, facts);
  read_findings(connection, facts);
  return facts;
}

}  // namespace anabranch
