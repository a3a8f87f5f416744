#include "sidecar/keep_session.hpp"

#include "sidecar/apply/failure.hpp"
#include "sidecar/log/change_log.hpp"
#include "sidecar/logging.hpp"
#include "sidecar/run.hpp"

namespace anabranch {
namespace {

using std::chrono::milliseconds;
using namespace std::chrono_literals;

constexpr milliseconds reconnect_delay_min = 50ms;
constexpr milliseconds reconnect_delay_max = 5s;
constexpr milliseconds starting_delay_max = 200ms;  // while the server says that it is starting or stopping
constexpr milliseconds reconnect_report_interval = 30s;
constexpr int damaged_attempts_max = 3;

// As somebody who asks for help quotes it.
std::string with_code(const PgError& error) {
  return in_words(error) + " (SQLSTATE " + error.sqlstate() + ")";
}

// Whether a session that failed like this may be followed by another.
bool may_follow(const PgError& error) {
  const std::string& state = error.sqlstate();
  // Our own walsender or session that the server has not missed yet, or a sidecar that is still running.
  if (state == "55006") return true;
  // Access refused, no such database: known at once, not worth waiting for.
  if (state.substr(0, 2) == "28" || state == "3D000") return false;
  return may_pass(verdict(error));
}

RunError run_error(const PgError& error) {
  const std::string& state = error.sqlstate();
  if (verdict(error) == Verdict::fenced) {
    return RunError(RunError::Kind::fenced,
                    "another sidecar has taken over this source; this one ends. " + with_code(error));
  }
  if (state == "3F000" || state == "42883") {
    return RunError(RunError::Kind::configuration,
                    "the extension is missing in this database, or older than this program: run "
                    "\"CREATE EXTENSION anabranch\" or \"ALTER EXTENSION anabranch UPDATE\". " +
                        with_code(error));
  }
  if (state == "42501") {
    return RunError(RunError::Kind::configuration,
                    "the role lacks a right: run \"anabranch init\", which grants what is needed. " + with_code(error));
  }
  if (state == "55000") return RunError(RunError::Kind::log_lost, with_code(error));
  return RunError(RunError::Kind::configuration, with_code(error));
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

}  // namespace

void keep_session(const Stop& stop, const SessionKeeper& keeper) {
  Backoff backoff(reconnect_delay_min, reconnect_delay_max);
  Trouble trouble;
  int damaged = 0;
  while (!stop.requested()) {
    try {
      return keeper.session(backoff);
    } catch (const Interrupted&) {
      return;
    } catch (const LogRestart&) {
      log_info("reading the log again from the recorded position");
    } catch (const LogError& error) {
      switch (error.kind()) {
        case LogError::Kind::gap:
        case LogError::Kind::slot_missing:
        case LogError::Kind::slot_lost:
          if (keeper.log_lost) keeper.log_lost(error.what());
          throw RunError(RunError::Kind::log_lost, error.what());
        case LogError::Kind::damaged:
          // Once may be the transport. What is sent again and again is not going to change.
          if (backoff.failures() == 0) damaged = 0;  // a session has succeeded since
          if (++damaged >= damaged_attempts_max) throw RunError(RunError::Kind::log_lost, error.what());
          log_error("the log sent what cannot be right, reading it again", {{"error", error.what()}});
          stop.wait(backoff.next());
          break;
        default:
          throw RunError(RunError::Kind::configuration, error.what());
      }
    } catch (const PgError& error) {
      if (!may_follow(error)) throw run_error(error);
      const milliseconds delay = error.sqlstate() == "57P03" ? starting_delay_max : backoff.next();
      trouble.report(with_code(error), delay);
      stop.wait(delay);
    }
  }
}

}  // namespace anabranch
