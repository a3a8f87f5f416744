#include "sidecar/publish/pg_source.hpp"

#include <unistd.h>

#include <utility>

#include <fmt/format.h>

#include "sidecar/host_name.hpp"
#include "sidecar/logging.hpp"
#include "sidecar/pg/server_history.hpp"
#include "sidecar/pg/slot.hpp"

namespace anabranch {
PgSource::PgSource(ConnectOptions options, std::string slot, std::string source, std::string prefix)
    : options_(std::move(options)),
      slot_(std::move(slot)),
      source_(std::move(source)),
      prefix_(std::move(prefix)),
      host_(host_name()),
      connection_(options_) {
  connection_.prepare("snapshot", "SELECT pg_catalog.pg_current_snapshot()::text");
  connection_.prepare("wal_end", "SELECT pg_catalog.pg_current_wal_insert_lsn()");
  connection_.prepare("note",
                      "SELECT anabranch.note_publisher($1, $2, $3, $4::pg_lsn, $5, $6, $7::bigint, $8::bigint, $9, "
                      "$10::int, $11)");
}

std::string PgSource::database() {
  return std::string(connection_.exec("SELECT pg_catalog.current_database()").text(0, 0));
}

SourceFacts PgSource::facts(uint32_t timeline) {
  SourceFacts facts;
  ServerHistory history = server_history(options_, timeline);
  facts.system_identifier = std::move(history.system_identifier);
  facts.timeline = history.timeline;
  facts.flushed = history.flushed;
  facts.switched_at = history.switched_at;
  const Result slot = connection_.exec(
      "SELECT plugin, database, database = pg_catalog.current_database(), confirmed_flush_lsn, wal_status, active_pid "
      "FROM pg_catalog.pg_replication_slots WHERE slot_name = $1",
      Parameters().text(slot_));
  if (slot.rows() > 0) {
    SourceSlot& found = facts.slot.emplace();
    if (slot.text(0, 0) != "anabranch_decoder" || !slot.boolean(0, 2)) {
      found.usable = false;
      found.problem = fmt::format(
          "replication slot \"{}\" is one of plugin \"{}\" in database \"{}\", not of anabranch_decoder in this one; "
          "name another slot in the settings, or drop this one and run \"anabranch init\"",
          slot_, slot.text(0, 0), slot.text(0, 1));
    }
    found.lost = slot.text(0, 4) == "lost";
    found.confirmed = slot.optional_lsn(0, 3).value_or(Lsn());
    if (!slot.null(0, 5)) found.active_pid = static_cast<int>(slot.integer(0, 5));
  }
  const Result before = connection_.exec("SELECT anabranch.published_before($1)", Parameters().text(source_));
  facts.published_lsn = before.optional_lsn(0, 0).value_or(Lsn());
  // A start that was refused leaves a row, too: with nothing published.
  facts.published_before = facts.published_lsn.valid();
  const Result witnesses =
      connection_.exec("SELECT recorded, fresh FROM anabranch.publisher_witnesses($1)", Parameters().text(source_));
  facts.witnesses = {std::string(witnesses.text(0, 0)), std::string(witnesses.text(0, 1))};
  return facts;
}

Snapshot PgSource::snapshot() {
  return Snapshot::parse(connection_.exec_prepared("snapshot", Parameters()).text(0, 0));
}

Lsn PgSource::wal_end() {
  return connection_.exec_prepared("wal_end", Parameters()).lsn(0, 0);
}

std::optional<std::string> PgSource::renew_witness(const std::string& recorded, const std::string& known) {
  return connection_
      .exec("SELECT anabranch.renew_witness($1, nullif($2, '')::uuid, nullif($3, '')::uuid)",
            Parameters().text(source_).text(recorded).text(known))
      .optional_text(0, 0);
}

void PgSource::report(const PublisherReport& report) {
  connection_.exec_prepared("note", Parameters()
                                        .text(source_)
                                        .text(prefix_)
                                        .text(report.cluster_id)
                                        .lsn(report.lsn)
                                        .text(report.state)
                                        .text(report.reason)
                                        .integer(static_cast<int64_t>(report.records))
                                        .integer(static_cast<int64_t>(report.transactions))
                                        .text(host_)
                                        .integer(getpid())
                                        .text(ANABRANCH_VERSION));
}

void PgSource::park(const std::vector<ParkedValue>& values) {
  connection_.exec("BEGIN");
  bool told = false;
  for (const ParkedValue& value : values) {
    // Any role can send messages: of many that are set aside together, one is named.
    const bool is_named = !value.content || !told;
    told = told || value.content;
    if (is_named)
      log_warning(value.content ? "a message is no row of its stream and is set aside"
                                : "a value is too large for its topic and is left out",
                  {{"lsn", value.lsn},
                   {"number", value.number},
                   {"table", value.relation},
                   {"column", value.column},
                   {"bytes", value.bytes}});
    Parameters parameters;
    parameters.text(source_)
        .lsn(value.lsn)
        .integer(static_cast<int64_t>(value.number))
        .text(value.column)
        .text(value.topic)
        .text(value.relation)
        .binary(value.key)
        .integer(static_cast<int64_t>(value.bytes))
        .text(value.reason);
    value.content ? parameters.binary(*value.content) : parameters.null();
    connection_.exec(
        "SELECT anabranch.park($1, $2::pg_lsn, $3::bigint, $4, $5, $6, $7::bytea, $8::bigint, $9, $10::bytea)",
        parameters);
  }
  connection_.exec("COMMIT");
}

void PgSource::drop_slot() {
  connection_.exec("SET lock_timeout = '5s'");
  // The walsender that we have just left may need a moment to let go of it.
  anabranch::drop_slot(connection_, slot_, options_.stop);
  log_error("the slot was dropped: it kept more WAL than wal_keep_limit", {{"slot", slot_}});
}

}  // namespace anabranch
