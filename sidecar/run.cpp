// Method:
//   1. Connect, take the origin, see that the server is prepared.
//   2. start_sidecar(): the slot is there, is ours and reaches back far enough; we get the fencing token and P. Whoever
//      held the token before can record nothing any more.
//   3. Stream from P, out of the slot or, where a publisher fills topics from it, out of Kafka. Drop slots that nobody
//      needs.
//   4. Apply until stopped (applier.cpp). What fails for a reason that passes ends the session, not the run: after a
//      pause, from step 1. What is recorded decides where to go on; memory decides nothing.
#include "sidecar/run.hpp"

#include <algorithm>
#include <atomic>
#include <mutex>
#include <optional>
#include <thread>
#include <utility>

#include "sidecar/apply/applier.hpp"
#include "sidecar/apply/copies.hpp"
#include "sidecar/apply/heartbeat.hpp"
#include "sidecar/apply/session.hpp"
#include "sidecar/copy/fill_slot.hpp"
#include "sidecar/copy/verify.hpp"
#include "sidecar/failpoint.hpp"
#include "sidecar/home.hpp"
#include "sidecar/kafka/error.hpp"
#include "sidecar/keep_session.hpp"
#include "sidecar/log/kafka_log.hpp"
#include "sidecar/log/slot_log.hpp"
#include "sidecar/logging.hpp"
#include "sidecar/pg/slot.hpp"
#include "sidecar/publish/make_format.hpp"
#include "sidecar/publish/run_publisher.hpp"
#include "sidecar/thread.hpp"

namespace anabranch {
namespace {

using std::chrono::milliseconds;
using namespace std::chrono_literals;

constexpr milliseconds stop_time_max = 5s;        // then the batch under way is cancelled and rolled back
constexpr milliseconds statement_time_max = 60s;  // of one copy in a batch: what takes longer goes on by itself
constexpr milliseconds halves_look_interval = 50ms;
// Workers' origins are named for the log up to here, whatever fill_workers_max is at the moment.
constexpr int fill_workers_limit = 16;

Lsn confirmed_position(Connection& connection, const std::string& slot) {
  const std::optional<SlotState> state = read_slot(connection, slot);
  if (!state) throw LogError(LogError::Kind::slot_missing, "replication slot \"" + slot + "\" does not exist");
  return state->confirmed;
}

class Run {
 public:
  Run(const RunSettings& settings, const Stop& stop, const ReloadSettings& reload)
      : settings_(settings), stop_(stop), reload_(reload) {}

  // One session with the server, until stopped.
  void session(Backoff& backoff);
  // Says at each copy that was live that the log is gone. As far as possible; never throws.
  void mark_lost(const std::string& reason) noexcept;

 private:
  std::unique_ptr<ChangeLog> make_log(Session& session, const StartedSidecar& started) const;

  const RunSettings& settings_;
  const Stop& stop_;
  const ReloadSettings& reload_;
  Stop give_up_;
  SourceToken token_;
};

std::unique_ptr<ChangeLog> Run::make_log(Session& session, const StartedSidecar& started) const {
  if (!settings_.kafka) {
    ConnectOptions connect = home_options(settings_);
    connect.application_name = "anabranch reader";
    connect.stop = &give_up_;
    return std::make_unique<SlotLog>(slot_log_options(settings_, std::move(connect)));
  }
  KafkaLogOptions options = kafka_log_options(settings_, session);
  options.offset = started.log_offset;
  return std::make_unique<KafkaLog>(std::move(options));
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
  const StartedSidecar started =
      session.start_sidecar(settings_.source, settings_.slot, settings_.publication, settings_.kafka.has_value());
  token_.token = started.token;
  session.take_origin(settings_.slot);
  session.connection().exec("SET statement_timeout = " + std::to_string(statement_time_max.count()));
  failpoint("run_token_taken");
  drop_orphan_slots(session.connection(), settings_.slot, session.copies());

  // From here on a stop lets the batch under way finish; the heartbeat sees to it that this does not take for ever.
  session.connection().set_stop(&give_up_);
  const Heartbeat heartbeat(options, token_, stop_, give_up_, stop_time_max);
  const std::unique_ptr<ChangeLog> log = make_log(session, started);
  log->want(wanted_columns(session.copies()));
  log->start(started.lsn);
  // What Kafka holds is no affair of the slot's: nothing of it is acknowledged there.
  const Lsn confirmed = settings_.kafka ? Lsn{} : confirmed_position(session.connection(), settings_.slot);
  log_info("applying", {{"slot", settings_.slot},
                        {"lsn", started.lsn},
                        {"confirmed", confirmed},
                        {"token", started.token},
                        {"server", session.connection().description()}});
  failpoint("run_streaming");

  Applier applier(settings_, stop_, reload_, heartbeat, session, *log, token_, started.lsn, confirmed);
  try {
    applier.run();
  } catch (...) {
    // A session alone is no success: what is refused each time, as on a full disk, is tried less and less often.
    if (applier.position() > started.lsn) backoff.succeeded();
    throw;
  }
  log->stop();
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

void run_applier(const RunSettings& settings, const Stop& stop, const ReloadSettings& reload) {
  Run run(settings, stop, reload);
  try {
    keep_session(stop, {[&](Backoff& backoff) { run.session(backoff); },
                        [&](const std::string& reason) { run.mark_lost(reason); }});
  } catch (const KafkaError& error) {
    throw RunError(RunError::Kind::configuration,
                   std::string("Kafka refuses: ") + error.what() + "; see the section [kafka] of the settings file");
  } catch (const KafkaPropertyError& error) {
    throw RunError(RunError::Kind::configuration, error.what());
  }
}

// Each half goes on by itself whatever the other waits for. One that has to end ends the other.
void run_halves(const RunSettings& settings, const Stop& stop, const ReloadSettings& reload) {
  Stop ending;
  std::mutex mutex;
  std::exception_ptr failure;
  std::atomic<int> running{2};
  const auto half = [&](const char* name, const auto& work) {
    return start_thread(name, [&] {
      try {
        work();
      } catch (...) {
        const std::lock_guard lock(mutex);
        if (!failure) failure = std::current_exception();
      }
      ending.request();
      --running;
    });
  };
  const auto publish = [&] { run_publisher(settings, ending); };
  const auto apply = [&] { run_applier(settings, ending, reload); };
  std::thread publisher = half("publisher", publish);
  std::thread applier = half("applier", apply);
  while (running > 0) {
    if (stop.requested()) ending.request();
    ending.requested() ? std::this_thread::sleep_for(halves_look_interval)
                       : static_cast<void>(stop.wait(halves_look_interval));
  }
  publisher.join();
  applier.join();
  if (failure) std::rethrow_exception(failure);
}

}  // namespace

std::vector<std::string> replication_origins(const RunSettings& settings) {
  std::vector<std::string> names{settings.slot};
  for (int number = 1; number <= fill_workers_limit; ++number)
    names.push_back(settings.slot + "_fill_" + std::to_string(number));
  names.push_back(verify_slot_name(settings.slot));
  return names;
}

void run(const RunSettings& settings, const Stop& stop, const ReloadSettings& reload) {
  if (settings.slot.empty()) throw RunError(RunError::Kind::configuration, "no slot is named");
  if (!settings.kafka) return run_applier(settings, stop, reload);
  if (settings.part == RunSettings::Part::publish) return run_publisher(settings, stop);
  if (!feeds_copies(settings.kafka->format))
    throw RunError(RunError::Kind::configuration,
                   "copies can be fed from topics of format \"protobuf\" only: run with --only publish, or write "
                   "format = \"protobuf\" in [kafka]");
  if (settings.part == RunSettings::Part::apply) return run_applier(settings, stop, reload);
  run_halves(settings, stop, reload);
}

}  // namespace anabranch
