// Method:
//   1. Connect, take the origin, see that the server is prepared.
//   2. start_sidecar(): the slot is there, is ours and reaches back far enough; we get the fencing token and P. Whoever
//      held the token before can record nothing any more.
//   3. Stream from P. Drop slots that nobody needs.
//   4. Apply until stopped (applier.cpp). What fails for a reason that passes ends the session, not the run: after a
//      pause, from step 1. What is recorded decides where to go on; memory decides nothing.
#include "sidecar/run.hpp"

#include <algorithm>
#include <optional>

#include "sidecar/apply/applier.hpp"
#include "sidecar/apply/failure.hpp"
#include "sidecar/apply/heartbeat.hpp"
#include "sidecar/apply/session.hpp"
#include "sidecar/backoff.hpp"
#include "sidecar/copy/create.hpp"
#include "sidecar/failpoint.hpp"
#include "sidecar/log/slot_log.hpp"
#include "sidecar/logging.hpp"

namespace anabranch {
namespace {

using std::chrono::milliseconds;
using namespace std::chrono_literals;

constexpr milliseconds reconnect_delay_min = 50ms;
constexpr milliseconds reconnect_delay_max = 5s;
constexpr milliseconds starting_delay_max = 200ms;  // while the server says that it is starting or stopping
constexpr milliseconds reconnect_report_interval = 30s;
constexpr milliseconds stop_time_max = 5s;           // then the batch under way is cancelled and rolled back
constexpr milliseconds batch_lock_wait_max = 200ms;  // for the table of one copy: the others wait as long
constexpr int damaged_attempts_max = 3;
// Workers' origins are named for the log up to here, whatever fill_workers_max is at the moment.
constexpr int fill_workers_limit = 16;

// An error of the server in words for the one who has to act.
std::string in_words(const PgError& error) {
  std::string words = error.message();
  if (!error.detail().empty()) words += ". " + error.detail();
  if (!error.hint().empty()) words += " " + error.hint();
  return words + " (SQLSTATE " + error.sqlstate() + ")";
}

// Whether a session that failed like this may be followed by another.
bool may_pass(const PgError& error) {
  const std::string& state = error.sqlstate();
  // Our own walsender or session that the server has not missed yet, or a sidecar that is still running.
  if (state == "55006") return true;
  // Access refused, no such database: known at once, not worth waiting for.
  if (state.substr(0, 2) == "28" || state == "3D000") return false;
  switch (verdict(error)) {
    case Verdict::reconnect:
    case Verdict::retry:
    case Verdict::locked:
      return true;
    default:
      return false;
  }
}

RunError run_error(const PgError& error) {
  const std::string& state = error.sqlstate();
  if (verdict(error) == Verdict::fenced) {
    return RunError(RunError::Kind::fenced,
                    "another sidecar has taken over this source; this one ends. " + in_words(error));
  }
  if (state == "3F000" || state == "42883") {
    return RunError(RunError::Kind::configuration,
                    "the extension is missing in this database, or older than this program: run "
                    "\"CREATE EXTENSION anabranch\" or \"ALTER EXTENSION anabranch UPDATE\". " +
                        in_words(error));
  }
  if (state == "42501") {
    return RunError(RunError::Kind::configuration,
                    "the role lacks a right: run \"anabranch init\", which grants what is needed. " + in_words(error));
  }
  if (state == "55000") return RunError(RunError::Kind::log_lost, in_words(error));
  return RunError(RunError::Kind::configuration, in_words(error));
}

ConnectOptions home_options(const RunSettings& settings) {
  ConnectOptions options;
  options.conninfo = settings.conninfo;
  options.synchronous_commit = "off";
  // A backend whose sidecar was killed holds the source's row until it notices.
  options.settings = {{"lock_timeout", std::to_string(batch_lock_wait_max.count())},
                      {"client_connection_check_interval", "500"}};
  return options;
}

void check_server(Connection& connection) {
  const Result row = connection.exec(
      "SELECT pg_is_in_recovery(), current_setting('wal_level'), "
      "NOT pg_has_role('pg_read_all_settings', 'USAGE') OR coalesce('anabranch_decoder' = ANY (string_to_array("
      "translate(CASE WHEN pg_has_role('pg_read_all_settings', 'USAGE') "
      "THEN current_setting('output_plugin_libraries', true) END, ' \"', ''), ',')), true)",
      Parameters());
  if (row.boolean(0, 0)) {
    throw RunError(RunError::Kind::configuration, "the server is a standby: connect to the primary");
  }
  if (row.text(0, 1) != "logical") {
    throw RunError(RunError::Kind::configuration,
                   "wal_level is \"" + std::string(row.text(0, 1)) +
                       "\", not \"logical\": run \"anabranch init\", then restart the server");
  }
  // Releases from August 2026 on load only the plugins that this setting lists; older ones do not have it. A role that
  // may not read it learns from the server's refusal instead.
  if (!row.boolean(0, 2)) {
    throw RunError(
        RunError::Kind::configuration,
        "the server's setting output_plugin_libraries does not list anabranch_decoder: run \"anabranch init\"");
  }
}

Lsn confirmed_position(Connection& connection, const std::string& slot) {
  const Result row = connection.exec("SELECT confirmed_flush_lsn FROM pg_replication_slots WHERE slot_name = $1",
                                     Parameters().text(slot));
  if (row.rows() == 0) throw LogError(LogError::Kind::slot_missing, "replication slot \"" + slot + "\" does not exist");
  return row.optional_lsn(0, 0).value_or(Lsn{});
}

// Says why there is no session: each reason once, and again from time to time while it lasts.
class Trouble {
 public:
  void report(const std::string& why, milliseconds delay) {
    const auto now = std::chrono::steady_clock::now();
    if (why == why_ && now < reported_ + reconnect_report_interval) return;
    why_ = why;
    reported_ = now;
    log_warning("no session with the server, trying again", {{"error", why}, {"retry_ms", delay}});
  }

 private:
  std::string why_;
  std::chrono::steady_clock::time_point reported_;
};

class Run {
 public:
  Run(const RunSettings& settings, const Stop& stop, const ReloadSettings& reload)
      : settings_(settings), stop_(stop), reload_(reload) {}

  // One session with the server, until stopped.
  void session(Backoff& backoff);
  // Says at each copy that was live that the log is gone. As far as possible; never throws.
  void mark_lost(const std::string& reason) noexcept;

 private:
  SlotLogOptions log_options() const;

  const RunSettings& settings_;
  const Stop& stop_;
  const ReloadSettings& reload_;
  Stop give_up_;
  SourceToken token_;
};

SlotLogOptions Run::log_options() const {
  SlotLogOptions options;
  options.connect = home_options(settings_);
  options.connect.application_name = "anabranch reader";
  options.connect.stop = &give_up_;
  options.slot = settings_.slot;
  options.publication = settings_.publication;
  options.skip_origins = replication_origins(settings_);
  options.queue_bytes_max = settings_.queue_bytes_max;
  options.value_bytes_max = settings_.value_bytes_max;
  return options;
}

void Run::session(Backoff& backoff) {
  ConnectOptions options = home_options(settings_);
  // Until there is something to finish, a stop ends every wait.
  options.stop = &stop_;
  Session session(options);
  check_server(session.connection());
  session.prepare();
  token_.source = settings_.source;
  // Not the first session of this run: whoever has taken over meanwhile keeps the source.
  if (token_.token != 0) session.heartbeat(token_);
  const StartedSidecar started = session.start_sidecar(settings_.source, settings_.slot, settings_.publication);
  token_.token = started.token;
  session.take_origin(settings_.slot);
  failpoint("run_token_taken");
  drop_orphan_slots(session.connection(), settings_.slot, session.copies());

  // From here on a stop lets the batch under way finish; the heartbeat sees to it that this does not take for ever.
  session.connection().set_stop(&give_up_);
  const Heartbeat heartbeat(options, token_, stop_, give_up_, stop_time_max);
  SlotLog log(log_options());
  WantedColumns wanted;
  for (const CopyRow& row : session.copies()) {
    for (const CopySource& source : row.sources) {
      wanted[source.relation].insert(wanted[source.relation].end(), source.columns.begin(), source.columns.end());
    }
  }
  log.want(std::move(wanted));
  log.start(started.lsn);
  const Lsn confirmed = confirmed_position(session.connection(), settings_.slot);
  log_info("applying", {{"slot", settings_.slot},
                        {"lsn", started.lsn},
                        {"confirmed", confirmed},
                        {"token", started.token},
                        {"server", session.connection().description()}});
  failpoint("run_streaming");

  Applier applier(settings_, stop_, reload_, heartbeat, session, log, token_, started.lsn, confirmed);
  backoff.succeeded();
  applier.run();
  log.stop();
  log_info("stopped", {{"lsn", applier.position()}});
}

void Run::mark_lost(const std::string& reason) noexcept {
  try {
    Session session(home_options(settings_));
    session.prepare();
    session.take_origin(settings_.slot);
    session.begin();
    session.begin_batch(token_);
    for (const CopyRow& row : session.copies()) {
      if (row.state == "live") session.set_aside(SetAside{row.oid, "stale", row.lsn, "AN004", reason, std::nullopt});
    }
    session.commit();
  } catch (const std::exception& error) {
    log_warning("the copies could not be marked", {{"error", error.what()}});
  }
}

}  // namespace

std::vector<std::string> replication_origins(const RunSettings& settings) {
  std::vector<std::string> names{settings.slot};
  for (int number = 1; number <= fill_workers_limit; ++number)
    names.push_back(settings.slot + "_fill_" + std::to_string(number));
  return names;
}

void run(const RunSettings& settings, const Stop& stop, const ReloadSettings& reload) {
  if (settings.slot.empty()) throw RunError(RunError::Kind::configuration, "no slot is named");
  Run run(settings, stop, reload);
  Backoff backoff(reconnect_delay_min, reconnect_delay_max);
  Trouble trouble;
  int damaged = 0;
  while (!stop.requested()) {
    try {
      return run.session(backoff);
    } catch (const Interrupted&) {
      return;
    } catch (const LogRestart&) {
      log_info("reading the log again from the recorded position");
    } catch (const LogError& error) {
      switch (error.kind()) {
        case LogError::Kind::gap:
        case LogError::Kind::slot_missing:
        case LogError::Kind::slot_lost:
          run.mark_lost(error.what());
          throw RunError(RunError::Kind::log_lost, error.what());
        case LogError::Kind::damaged:
          // Once may be the transport. What the server sends again and again is not going to change.
          if (++damaged >= damaged_attempts_max) throw RunError(RunError::Kind::log_lost, error.what());
          log_error("the log sent what cannot be right, reading it again", {{"error", error.what()}});
          break;
        default:
          throw RunError(RunError::Kind::configuration, error.what());
      }
    } catch (const PgError& error) {
      if (!may_pass(error)) throw run_error(error);
      const milliseconds delay = error.sqlstate() == "57P03" ? starting_delay_max : backoff.next();
      trouble.report(in_words(error), delay);
      stop.wait(delay);
    }
  }
}

}  // namespace anabranch
