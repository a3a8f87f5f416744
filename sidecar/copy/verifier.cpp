#include "sidecar/copy/verifier.hpp"

#include <algorithm>
#include <optional>
#include <utility>

#include "sidecar/apply/failure.hpp"
#include "sidecar/backoff.hpp"
#include "sidecar/copy/fill_slot.hpp"
#include "sidecar/log/change_log.hpp"
#include "sidecar/logging.hpp"
#include "sidecar/thread.hpp"

namespace anabranch {
namespace {

using Clock = std::chrono::steady_clock;
using std::chrono::milliseconds;
using namespace std::chrono_literals;

constexpr milliseconds look_interval = 1s;
constexpr milliseconds ask_interval = 50ms;
constexpr milliseconds retry_delay_min = 200ms;
constexpr milliseconds retry_delay_max = 5s;
constexpr milliseconds lock_wait_max = 1s;  // for the sources, and for a pause between two batches
constexpr milliseconds rest_max = 1h;
constexpr milliseconds origin_wait = 50ms;
constexpr int origin_attempts_max = 40;
constexpr const char* object_in_use = "55006";
constexpr double duty_min = 0.001;

ConnectOptions verifier_options(const RunSettings& settings, const Stop& stop) {
  ConnectOptions options;
  options.conninfo = settings.conninfo;
  options.application_name = "anabranch verifier";
  options.synchronous_commit = "off";
  options.settings = {{"lock_timeout", std::to_string(lock_wait_max.count())}, {"work_mem", apply_work_mem}};
  options.stop = &stop;
  return options;
}

std::optional<VerificationRun> next_run(Session& session) {
  const Result result = session.connection().exec(
      "SELECT run, copy, name, mode, repairs, duty, method, purpose FROM anabranch.next_verification()", Parameters());
  if (result.null(0, 0)) return std::nullopt;
  VerificationRun run;
  run.run = result.integer(0, 0);
  run.copy = static_cast<uint32_t>(result.integer(0, 1));
  run.name = result.text(0, 2);
  run.mode = result.text(0, 3);
  run.repairs = result.boolean(0, 4);
  run.duty = std::stod(std::string(result.text(0, 5)));
  run.method = result.optional_text(0, 6).value_or("");
  run.purpose = result.text(0, 7);
  return run;
}

}  // namespace

Verifier::Verifier(const RunSettings& settings, const SourceToken& token)
    : settings_(settings), token_(token), thread_(start_thread("verifier", [this] { run(); })) {}

Verifier::~Verifier() {
  stop_.request();
  thread_.join();
}

void Verifier::look_soon() {
  asked_ = true;
}

// Nothing may leave it but by being logged: the applier does not wait for it.
void Verifier::run() {
  Backoff backoff(retry_delay_min, retry_delay_max);
  while (!stop_.requested()) {
    try {
      work_once();
      backoff.succeeded();
    } catch (const Interrupted&) {
      return;
    } catch (const PgError& error) {
      if (verdict(error) == Verdict::fenced) {
        fenced_ = true;
        return;
      }
      const milliseconds delay = backoff.next();
      log_warning("a verification was interrupted",
                  {{"error", error.message()}, {"sqlstate", error.sqlstate()}, {"retry_ms", delay}});
      stop_.wait(delay);
    } catch (const std::exception& error) {
      const milliseconds delay = backoff.next();
      log_warning("a verification was interrupted", {{"error", error.what()}, {"retry_ms", delay}});
      stop_.wait(delay);
    }
  }
}

// The session before may not have ended yet.
void Verifier::take_origin(Session& session) {
  for (int attempt = 1;; ++attempt) {
    try {
      return session.take_origin(verify_slot_name(settings_.slot));
    } catch (const PgError& error) {
      if (error.sqlstate() != object_in_use || attempt >= origin_attempts_max) throw;
      if (stop_.wait(origin_wait)) throw Interrupted();
    }
  }
}

// The duty: what has been read is followed by a rest in proportion, before anything is read that can wait.
void Verifier::rest(Session& session, const VerificationRun& run) {
  if (run.duty >= 1) return;
  while (Clock::now() < rested_at_) {
    const Result goes_on = session.connection().exec(
        "SELECT anabranch.note_verification($1::bigint, 'the last verification asked for a rest (duty)')",
        Parameters().integer(run.run));
    if (!goes_on.boolean(0, 0)) return;  // cancelled, which is seen to where it is carried out
    const auto left = std::chrono::ceil<milliseconds>(rested_at_ - Clock::now());
    if (stop_.wait(std::clamp<milliseconds>(left, 0ms, look_interval))) throw Interrupted();
  }
}

// One session: looks for runs and carries them out until something fails, or one wants what the session has given away:
// all of the machine's processors, and its turn among the others. Whoever asks for less than all of the time wants
// neither.
void Verifier::work_once() {
  Session session(verifier_options(settings_, stop_));
  session.prepare();
  take_origin(session);
  // Of one that was cut off.
  drop_fill_slot(session.connection(), verify_slot_name(settings_.slot), &stop_);
  bool gives_way = false;
  while (!stop_.requested()) {
    if (const std::optional<VerificationRun> run = next_run(session)) {
      if (run->duty >= 1 && gives_way) return;  // it is handed out again
      rest(session, *run);
      if (run->duty < 1 && !std::exchange(gives_way, true)) session.connection().exec("SELECT anabranch.give_way()");
      const Clock::time_point began = Clock::now();
      verify_copy({settings_, token_, stop_}, session, *run);
      const auto took = std::chrono::duration<double>(Clock::now() - began);
      const auto pause = std::chrono::duration_cast<milliseconds>(took * (1 / std::max(run->duty, duty_min) - 1));
      rested_at_ = Clock::now() + std::min<milliseconds>(pause, rest_max);
      continue;
    }
    for (milliseconds waited{}; waited < look_interval && !asked_.exchange(false); waited += ask_interval)
      if (stop_.wait(ask_interval)) return;
  }
}

}  // namespace anabranch
