// Method:
//   1. Between two batches: requests (NOTIFY, and a look once a second), copies that have caught up, signs of life.
//   2. A batch of the live copies, as batch.hpp tells. Each copy skips what it has already.
//   3. When a copy's statement fails nothing has happened. What passes by itself is tried again; a copy whose table is
//      locked goes on with a worker of its own; one whose statement cannot succeed is set aside at the transaction
//      before the one that fails. The others get the batch, once.
//   4. The slot is acknowledged with what everybody who depends on it has recorded and the server has flushed.
#include "sidecar/apply/applier.hpp"

#include <algorithm>
#include <cmath>
#include <utility>

#include "sidecar/apply/failure.hpp"
#include "sidecar/apply/isolate.hpp"
#include "sidecar/failpoint.hpp"
#include "sidecar/keep_session.hpp"
#include "sidecar/logging.hpp"

namespace anabranch {
namespace {

using std::chrono::duration;
using std::chrono::duration_cast;
using std::chrono::milliseconds;
using namespace std::chrono_literals;

constexpr milliseconds gather_wait = 50ms;  // how late a request may be seen while nothing comes in
constexpr milliseconds idle_interval = 1s;  // between positions of a log in which nothing happens
constexpr milliseconds hidden_wait_min = 1ms;
constexpr milliseconds hidden_wait_max = 50ms;
constexpr milliseconds hidden_patience = 1s;
constexpr milliseconds hidden_repeat = 30s;
constexpr int attempts_max = 5;  // of a batch, for what may pass by itself
constexpr milliseconds retry_wait = 50ms;
constexpr const char* query_canceled = "57014";
constexpr int cancelled_max = 2;  // by statement_timeout, mostly: all other copies wait as long

BatchOptions batch_options(const RunSettings& settings, const Stop& stop) {
  BatchOptions options;
  options.source = settings.source;
  options.stop = &stop;
  options.size.interval_max = settings.batch_interval_max;
  options.size.rows_max = settings.batch_rows_max;
  return options;
}

}  // namespace

void Applier::Scope::open(Session& session) {
  session.send_begin();
  session.send_begin_batch(token_);
}

void Applier::Scope::send_close(Session& session, const BatchEnd& end) {
  session.send_end_batch(token_, end);
  desk_.publish(end.lsn);
}

Applier::Applier(const RunSettings& settings, const Stop& stop, const ReloadSettings& reload,
                 const Heartbeat& heartbeat, Session& session, ChangeLog& log, const SourceToken& token, Lsn position,
                 Lsn confirmed)
    : settings_(settings),
      stop_(stop),
      reload_(reload),
      heartbeat_(heartbeat),
      session_(session),
      log_(log),
      token_(token),
      scope_(token, desk_),
      batches_(session, log, scope_, batch_options(settings, stop)),
      workers_(settings, token, desk_),
      verifier_(settings, token),
      deliveries_(settings, token),
      copies_(settings_, session, log, token, workers_, position, confirmed) {
  desk_.publish(position);
  session_.connection().exec("LISTEN anabranch");
}

void Applier::run() {
  while (!stop_.requested()) {
    housekeeping();
    if (batches_.gather(gather_wait)) {
      apply();
    } else if (batches_.pending().empty()) {
      record_idle();
    }
  }
}

void Applier::apply() {
  failures_.clear();
  while (true) {
    heartbeat_.waiting().batch.begin("its batch is being applied");
    const Batches::Outcome outcome = batches_.step(copies_.plans());
    heartbeat_.waiting().batch.end();
    switch (outcome) {
      case Batches::Outcome::nothing:
        return;
      case Batches::Outcome::hidden:
        return wait_until_visible();
      case Batches::Outcome::applied:
        return applied();
      case Batches::Outcome::failed:
        decide(batches_.failure());
        break;
    }
  }
}

void Applier::applied() {
  rows_measured_ += batches_.end().rows;
  hidden_since_ = {};
  heartbeat_.waiting().hidden.end();
  copies_.recorded(batches_.end().lsn, batches_.wal());
  deliveries_.applied();
  log_.acknowledge(copies_.confirmable());
  for (const SetAside& aside : batches_.set_aside()) copies_.was_set_aside(aside);
  for (const DdlEvent& event : batches_.ddl()) copies_.sources_changed(event.stale, event.reason);
}

// Rule V: the transaction is committed, and no session can see it yet.
void Applier::wait_until_visible() {
  const Clock::time_point now = Clock::now();
  if (hidden_since_ == Clock::time_point{}) hidden_since_ = now;
  const auto since = duration_cast<milliseconds>(now - hidden_since_);
  if (since >= hidden_patience && now >= hidden_told_ + hidden_repeat) {
    hidden_told_ = now;
    log_warning("a committed transaction is not visible yet, waiting for it; is a synchronous standby absent?",
                {{"xid", batches_.hidden_xid()}, {"waiting_ms", since}});
  }
  heartbeat_.waiting().hidden.begin("transaction " + std::to_string(batches_.hidden_xid()) +
                                    " is committed and not visible yet");
  stop_.wait(std::clamp(since / 4, hidden_wait_min, hidden_wait_max));
}

// The transaction of the batch has been rolled back; after this the batch is stepped again, or an exception ends it.
void Applier::decide(const CopyFailure& failure) {
  const std::optional<CopyPlan> plan = copies_.plan(failure.copy);
  if (!plan) return batches_.exclude(failure.copy, std::nullopt);
  const Verdict kind = verdict(failure.error);
  if (kind == Verdict::reconnect || kind == Verdict::fenced) throw PgError(failure.error);
  // Its transactions come again, in batches that can be repeated.
  if (batches_.grown()) {
    const Lsn from = copies_.position(), end = batches_.end().lsn;
    log_debug("a large batch failed, reading it again in small ones",
              {{"copy", copies_.name(failure.copy)}, {"error", failure.error.message()}, {"from", from}, {"to", end}});
    batches_.reset(end);
    return log_.start(from);
  }

  const auto aside = [&](const char* state) {
    return SetAside{failure.copy, state, plan->position, failure.error.sqlstate(), failure.error.message(),
                    std::nullopt};
  };
  // It may have been dropped or changed while the batch was under way.
  if (!copies_.still_live(failure.copy)) {
    batches_.exclude(failure.copy, std::nullopt);
  } else if (kind == Verdict::locked || kind == Verdict::retry) {
    // What cannot be repeated from memory would be begun again from the log for ever.
    const bool cancelled = failure.error.sqlstate() == query_canceled;
    const int attempts = !cancelled ? attempts_max : batches_.repeatable() ? cancelled_max : 0;
    if (kind == Verdict::retry && ++failures_[failure.copy] < attempts) {
      if (!batches_.repeatable()) throw LogRestart();
      if (stop_.wait(retry_wait * failures_[failure.copy])) throw Interrupted();
      return;
    }
    leave_out(aside("catching_up"));
    copies_.hold(failure.copy, plan->position);
  } else if (batches_.repeatable()) {
    if (const std::optional<SetAside> found = isolate(session_, scope_, *plan, batches_.pieces()))
      copies_.was_set_aside(*found);
    else
      copies_.move_ahead(failure.copy, batches_.end().lsn);  // it went well this time
    batches_.exclude(failure.copy, std::nullopt);
  } else {
    leave_out(aside(kind == Verdict::stale ? "stale" : "failed"));
  }
  if (!batches_.repeatable()) throw LogRestart();
}

// The others go on without it. What it is set aside for is recorded within their batch, or now when there is no batch
// left.
void Applier::leave_out(SetAside aside) {
  if (batches_.repeatable()) return batches_.exclude(aside.copy, std::move(aside));
  copies_.set_aside(aside.copy, aside.state, aside.sqlstate, aside.reason);
}

// How fast it goes and what the batches have become, for whoever asks why: with each look at the copies, at level
// debug.
void Applier::report_pace(Clock::time_point now) {
  if (rows_measured_ > 0) {
    const double seconds = duration<double>(now - measured_).count();
    const BatchSizer& sizer = batches_.sizer();
    log_debug("applied",
              {{"rows_per_second", std::llround(static_cast<double>(rows_measured_) / std::max(seconds, 0.001))},
               {"batch_rows_max", sizer.rows()},
               {"batch_interval_ms", duration_cast<milliseconds>(sizer.interval())},
               {"cost_ratio", sizer.cost_ratio()}});
  }
  rows_measured_ = 0;
  measured_ = now;
}

void Applier::housekeeping() {
  reload();
  if (workers_.fenced() || verifier_.fenced() || deliveries_.fenced() || heartbeat_.fenced())
    throw RunError(RunError::Kind::fenced, "another sidecar has taken over this source");
  const Clock::time_point now = Clock::now();
  if (now >= looked_ + gather_wait) {
    looked_ = now;
    while (const std::optional<Notification> asked = session_.connection().notification(0ms)) {
      copies_.refresh_soon();
      if (asked->payload == "verify") verifier_.look_soon();
      deliveries_.look_soon();
    }
  }
  if (!workers_.finished().empty()) copies_.refresh_soon();
  if (copies_.refresh_due(now)) {
    report_pace(now);
    copies_.refresh(now, batches_.wal().inserted);
  }
  while (const std::optional<JoinDesk::Request> request = desk_.next())
    desk_.answer(request->copy, copies_.join(*request));
}

void Applier::reload() {
  if (!reload_) return;
  std::optional<RunSettings> fresh = reload_();
  if (!fresh) return;
  settings_.batch_interval_max = fresh->batch_interval_max;
  settings_.batch_rows_max = fresh->batch_rows_max;
  settings_.wal_keep_limit_bytes = fresh->wal_keep_limit_bytes;
  settings_.fill_workers_max = fresh->fill_workers_max;
  workers_.set_workers_max(fresh->fill_workers_max);
  batches_.sizer().set_limits(batch_options(settings_, stop_).size);
  copies_.forgive();
  log_info("settings were reloaded");
}

// Nothing comes in. The position still moves with the server's WAL, or the slot would keep all of it.
void Applier::record_idle() {
  const Lsn read = log_.read_position();
  if (read <= copies_.position() || Clock::now() < idle_recorded_ + idle_interval) return;
  idle_recorded_ = Clock::now();
  batches_.record(read);
  copies_.recorded(read, batches_.wal());
  deliveries_.applied();
  failpoint("idle_recorded");
  log_.acknowledge(copies_.confirmable());
}

}  // namespace anabranch
