#include "sidecar/apply/session.hpp"

#include <unistd.h>

#include <array>

#include "sidecar/host_name.hpp"

namespace anabranch {
namespace {

constexpr const char* undefined_object = "42704";

struct Statement {
  const char* name;
  const char* sql;
};

constexpr std::array statements{
    Statement{
        "start_sidecar",
        "SELECT token, lsn, log_offset FROM anabranch.start_sidecar($1::text, $2::text, $3::text, $4::text, $5::int, "
        "$6::text, $7::text)"},
    Statement{"begin", "BEGIN"},
    Statement{"commit", "COMMIT"},
    Statement{"begin_batch", "SELECT FROM anabranch.begin_batch($1::text, $2::bigint)"},
    Statement{"begin_copy_batch", "SELECT lsn FROM anabranch.begin_copy_batch($1::oid, $2::text, $3::bigint)"},
    Statement{"apply", "SELECT anabranch.apply($1::oid, $2::bytea)"},
    Statement{"apply_filling", "SELECT anabranch.apply_filling($1::oid, $2::bytea)"},
    Statement{"gather", "SELECT anabranch.gather($1::oid, $2::bytea, $3::boolean)"},
    Statement{"end_batch",
              "SELECT anabranch.end_batch($1::text, $2::bigint, $3::pg_lsn, timestamptz '2000-01-01 00:00:00+00' "
              "+ $4::float8 * interval '1 microsecond', $5::bigint, $6::bigint, $7::bigint)"},
    Statement{"set_copy_position", "SELECT anabranch.set_copy_position($1::oid, $2::pg_lsn)"},
    Statement{"set_aside", "SELECT anabranch.set_aside($1::oid, $2::text, $3::pg_lsn, $4::text, $5::text, $6::pg_lsn)"},
    Statement{"wait_for_writers", "SELECT anabranch.wait_for_writers($1::oid)"},
    Statement{"fill_start", "SELECT anabranch.fill_start($1::oid, $2::text, $3::pg_lsn)"},
    Statement{"fill_chunk", "SELECT rows, done FROM anabranch.fill_chunk($1::oid, $2::int)"},
    Statement{"show", "SELECT anabranch.show($1::oid, $2::pg_lsn)"},
    Statement{"heartbeat", "SELECT anabranch.heartbeat($1::text, $2::bigint)"},
    Statement{"dead_letter",
              "SELECT anabranch.park($1::text, $2::pg_lsn, $3::bigint, 'message', '', $4::text, $5::bytea, $6::bigint, "
              "$7::text, $8::bytea)"},
    // On disk is what the standbys have, too, that the slot goes over to: confirmed past that, the slot would be ahead
    // of the copies on a standby that is promoted. The setting is known from 17 on.
    Statement{"wal_status",
              "SELECT pg_current_snapshot()::text, least(pg_current_wal_flush_lsn(),"
              " CASE WHEN current_setting('synchronized_standby_slots', true) <> '' THEN (SELECT "
              "coalesce(min(restart_lsn), '0/0') FROM pg_replication_slots WHERE slot_name = ANY (string_to_array("
              "translate(current_setting('synchronized_standby_slots', true), '\" ', ''), ','))) END),"
              " pg_current_wal_insert_lsn()"},
};

std::vector<uint32_t> numbers(const std::vector<int64_t>& values) {
  return {values.begin(), values.end()};
}

Parameters aside_parameters(const SetAside& aside) {
  Parameters parameters;
  parameters.integer(aside.copy).text(aside.state);
  aside.lsn ? parameters.lsn(*aside.lsn) : parameters.null();
  parameters.optional_text(aside.sqlstate).optional_text(aside.reason);
  aside.failed_lsn ? parameters.lsn(*aside.failed_lsn) : parameters.null();
  return parameters;
}

Parameters token_parameters(const SourceToken& token) {
  Parameters parameters;
  parameters.text(token.source).integer(token.token);
  return parameters;
}

}  // namespace

CopyPlan CopyRow::plan(Lsn position, bool with_xid) const {
  CopyPlan plan;
  plan.copy = oid;
  plan.rows_class = rows_class;
  plan.with_xid = with_xid;
  plan.position = position;
  plan.sources = sources;
  // Groups need the rest of the columns, the key, only for telling which chunk of a fill a row is in.
  if (!rows_class && !with_xid)
    for (CopySource& source : plan.sources) source.columns = source.named;
  return plan;
}

Session::Session(const ConnectOptions& options) : connection_(options) {}

void Session::take_origin(const std::string& origin) {
  const std::string name = connection_.quote_literal(origin);
  try {
    connection_.exec("SELECT pg_replication_origin_session_setup(" + name + ")");
  } catch (const PgError& error) {
    if (error.sqlstate() != undefined_object) throw;
    connection_.exec("SELECT pg_replication_origin_create(" + name + ")");
    connection_.exec("SELECT pg_replication_origin_session_setup(" + name + ")");
  }
}

void Session::prepare() {
  for (const Statement& statement : statements) connection_.prepare(statement.name, statement.sql);
}

StartedSidecar Session::start_sidecar(std::string_view source, std::string_view slot, std::string_view publication,
                                      bool kafka) {
  const Result result = connection_.exec_prepared("start_sidecar", Parameters()
                                                                       .text(source)
                                                                       .text(slot)
                                                                       .text(publication)
                                                                       .text(host_name())
                                                                       .integer(getpid())
                                                                       .text(ANABRANCH_VERSION)
                                                                       .text(kafka ? "kafka" : "slot"));
  StartedSidecar started{result.integer(0, 0), result.lsn(0, 1), std::nullopt};
  if (!result.null(0, 2)) started.log_offset = result.integer(0, 2);
  return started;
}

std::string Session::system_identifier(std::string_view source) {
  const Result result =
      connection_.exec("SELECT system_identifier FROM anabranch.sources WHERE name = $1", Parameters().text(source));
  return result.rows() == 0 ? std::string() : std::string(result.text(0, 0));
}

std::vector<CopyRow> Session::copies() {
  const Result result = connection_.exec(
      "SELECT copy::oid, name, id, state, requested, lsn, fill_slot, class, ordinal, relation::oid AS relation, "
      "columns, named, key, "
      "old_rows, problem, fill_duty FROM anabranch.copies_to_apply() ORDER BY id, ordinal",
      Parameters());
  enum {
    copy,
    name,
    id,
    state,
    requested,
    lsn,
    fill_slot,
    copy_class,
    ordinal,
    relation,
    columns,
    named,
    key,
    old_rows,
    problem,
    fill_duty
  };
  std::vector<CopyRow> copies;
  for (std::size_t row = 0; row < result.rows(); ++row) {
    const auto oid = static_cast<uint32_t>(result.integer(row, copy));
    if (copies.empty() || copies.back().oid != oid) {
      CopyRow found;
      found.oid = oid;
      found.name = result.text(row, name);
      found.id = result.integer(row, id);
      found.state = result.null(row, state) ? "unbound" : result.text(row, state);
      found.requested = result.text(row, requested);
      found.lsn = result.optional_lsn(row, lsn);
      found.fill_slot = result.optional_text(row, fill_slot);
      found.rows_class = result.text(row, copy_class) == "rows";
      if (!result.null(row, fill_duty)) found.fill_duty = std::stod(std::string(result.text(row, fill_duty)));
      copies.push_back(std::move(found));
    }
    if (!result.null(row, problem)) copies.back().problem = std::string(result.text(row, problem));
    if (result.null(row, ordinal)) continue;
    CopySource source;
    source.ordinal = static_cast<uint32_t>(result.integer(row, ordinal));
    source.relation = static_cast<uint32_t>(result.integer(row, relation));
    source.columns = numbers(result.integers(row, columns));
    source.named = numbers(result.integers(row, named));
    source.key = numbers(result.integers(row, key));
    source.full_old_rows = result.text(row, old_rows) == "full";
    copies.back().sources.push_back(std::move(source));
  }
  return copies;
}

void Session::heartbeat(const SourceToken& token) {
  connection_.exec_prepared("heartbeat", token_parameters(token));
}

WalStatus Session::wal_status() {
  return read_wal_status(connection_.exec_prepared("wal_status", {}));
}

void Session::begin() {
  connection_.exec_prepared("begin", {});
}
void Session::commit() {
  connection_.exec_prepared("commit", {});
}

void Session::rollback() {
  if (connection_.usable() && connection_.in_transaction()) connection_.exec("ROLLBACK");
}

void Session::set_lock_timeout(std::chrono::milliseconds timeout) {
  connection_.exec("SET LOCAL lock_timeout = " + std::to_string(timeout.count()));
}

void Session::begin_batch(const SourceToken& token) {
  connection_.exec_prepared("begin_batch", token_parameters(token));
}

std::optional<Lsn> Session::begin_copy_batch(uint32_t copy, const SourceToken& token) {
  return read_copy_batch(connection_.exec_prepared("begin_copy_batch",
                                                   Parameters().integer(copy).text(token.source).integer(token.token)));
}

void Session::apply(uint32_t copy, bool filling, std::string_view delta) {
  connection_.exec_prepared(filling ? "apply_filling" : "apply", Parameters().integer(copy).binary(delta));
}

void Session::set_copy_position(uint32_t copy, Lsn lsn) {
  connection_.exec_prepared("set_copy_position", Parameters().integer(copy).lsn(lsn));
}

void Session::set_aside(const SetAside& aside) {
  connection_.exec_prepared("set_aside", aside_parameters(aside));
}

void Session::wait_for_writers(uint32_t relation) {
  connection_.exec_prepared("wait_for_writers", Parameters().integer(relation));
}

void Session::fill_start(uint32_t copy, std::string_view slot, Lsn lsn) {
  connection_.exec_prepared("fill_start", Parameters().integer(copy).text(slot).lsn(lsn));
}

FilledChunk Session::fill_chunk(uint32_t copy, std::size_t rows_max) {
  const Result result =
      connection_.exec_prepared("fill_chunk", Parameters().integer(copy).integer(static_cast<int64_t>(rows_max)));
  return FilledChunk{result.null(0, 0) ? 0 : result.integer(0, 0), result.boolean(0, 1)};
}

void Session::show(uint32_t copy, Lsn lsn) {
  connection_.exec_prepared("show", Parameters().integer(copy).lsn(lsn));
}

void Session::send_begin() {
  connection_.send_prepared("begin", {});
}
void Session::send_commit() {
  connection_.send_prepared("commit", {});
}

void Session::send_begin_batch(const SourceToken& token) {
  connection_.send_prepared("begin_batch", token_parameters(token));
}

void Session::send_begin_copy_batch(uint32_t copy, const SourceToken& token) {
  connection_.send_prepared("begin_copy_batch", Parameters().integer(copy).text(token.source).integer(token.token));
}

void Session::send_apply(uint32_t copy, bool filling, std::string_view delta) {
  connection_.send_prepared(filling ? "apply_filling" : "apply", Parameters().integer(copy).binary(delta));
}

void Session::send_gather(uint32_t copy, bool filling, std::string_view delta) {
  connection_.send_prepared("gather", Parameters().integer(copy).binary(delta).text(filling ? "true" : "false"));
}

void Session::send_end_batch(const SourceToken& token, const BatchEnd& end) {
  Parameters parameters = token_parameters(token);
  parameters.lsn(end.lsn);
  end.commit_time == 0 ? parameters.null() : parameters.integer(end.commit_time);
  parameters.integer(static_cast<int64_t>(end.transactions)).integer(static_cast<int64_t>(end.rows));
  end.log_offset < 0 ? parameters.null() : parameters.integer(end.log_offset);
  connection_.send_prepared("end_batch", parameters);
}

void Session::send_set_copy_position(uint32_t copy, Lsn lsn) {
  connection_.send_prepared("set_copy_position", Parameters().integer(copy).lsn(lsn));
}

void Session::send_set_aside(const SetAside& aside) {
  connection_.send_prepared("set_aside", aside_parameters(aside));
}

void Session::send_dead_letter(std::string_view source, const DeadLetter& letter) {
  connection_.send_prepared("dead_letter", Parameters()
                                               .text(source)
                                               .lsn(letter.lsn)
                                               .integer(static_cast<int64_t>(letter.number))
                                               .text(letter.stream)
                                               .binary(letter.key)
                                               .integer(static_cast<int64_t>(letter.bytes))
                                               .text(letter.reason)
                                               .binary(letter.content));
}

void Session::send_wal_status() {
  connection_.send_prepared("wal_status", {});
}

WalStatus Session::read_wal_status(const Result& result) {
  return WalStatus{Snapshot::parse(result.text(0, 0)), result.lsn(0, 1), result.lsn(0, 2)};
}

std::optional<Lsn> Session::read_copy_batch(const Result& result) {
  return result.optional_lsn(0, 0);
}

}  // namespace anabranch
