// Method:
//   1. Between two batches: requests (NOTIFY, and a look once a second), copies that have caught up, signs of life.
//   2. A batch of the live copies, as batch.hpp tells. Each copy skips what it has already.
//   3. When a copy's statement fails nothing has happened. What passes by itself is tried again; a copy whose table is
//      locked goes on with a worker of its own; one whose statement cannot succeed is set aside at the transaction
//      before the one that fails. The others get the batch, once.
//   4. The slot is acknowledged with what everybody who depends on it has recorded and the server has flushed.
#include "sidecar/apply/applier.hpp"

#include <algorithm>
#include <utility>

#include "sidecar/apply/isolate.hpp"
#include "sidecar/copy/create.hpp"
#include "sidecar/failpoint.hpp"
#include "sidecar/logging.hpp"

namespace anabranch {
namespace {

using std::chrono::duration;
using std::chrono::duration_cast;
using std::chrono::milliseconds;
using namespace std::chrono_literals;

constexpr milliseconds gather_wait = 50ms;  // how late a request may be seen while nothing comes in
constexpr milliseconds refresh_interval = 1s;
constexpr milliseconds hidden_wait_min = 1ms;
constexpr milliseconds hidden_wait_max = 50ms;
constexpr milliseconds hidden_patience = 1s;
constexpr milliseconds hidden_repeat = 30s;
constexpr int attempts_max = 5;  // of a batch, for what may pass by itself
constexpr milliseconds retry_wait = 50ms;
// While it waits for the lock on a view to show it, every live copy waits: it grows from attempt to attempt.
constexpr milliseconds join_lock_wait_min = 20ms;
constexpr milliseconds join_lock_wait_max = 500ms;

BatchOptions batch_options(const RunSettings& settings) {
  BatchOptions options;
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
      position_(position),
      ack_(confirmed, position),
      scope_(token, desk_),
      batches_(session, log, scope_, batch_options(settings)),
      join_lock_wait_(join_lock_wait_min),
      workers_(settings, token, desk_) {
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

std::vector<CopyPlan> Applier::plans() const {
  std::vector<CopyPlan> plans;
  for (const auto& [copy, live] : live_) plans.push_back(live.row.plan(position_of(live)));
  return plans;
}

void Applier::apply() {
  failures_.clear();
  while (true) {
    switch (batches_.step(plans())) {
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
  position_ = batches_.end().lsn;
  rows_measured_ += batches_.end().rows;
  hidden_since_ = {};
  ack_.group().recorded(position_, batches_.wal().inserted);
  confirm();
  for (const SetAside& aside : batches_.set_aside()) {
    report(aside);
    live_.erase(aside.copy);
    refreshed_ = {};
  }
  // Copies that are not live now can be told right away that their sources have changed under them.
  for (const DdlEvent& event : batches_.ddl()) {
    for (const uint32_t copy : event.stale) {
      if (!held_.contains(copy) || workers_.has(copy)) continue;
      set_aside(copy, "stale", "AN004", event.reason);
      ack_.release(copy);
      held_.erase(copy);
    }
  }
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
  stop_.wait(std::clamp(since / 4, hidden_wait_min, hidden_wait_max));
}

// The transaction of the batch has been rolled back; after this the batch is stepped again, or an exception ends it.
void Applier::decide(const CopyFailure& failure) {
  const auto found = live_.find(failure.copy);
  if (found == live_.end()) return batches_.exclude(failure.copy, std::nullopt);
  const Live live = found->second;
  const Verdict kind = verdict(failure.error);
  const Lsn position = position_of(live);
  if (kind == Verdict::reconnect || kind == Verdict::fenced) throw PgError(failure.error);

  // It may have been dropped or changed while the batch was under way.
  const std::vector<CopyRow> rows = session_.copies();
  const auto row =
      std::find_if(rows.begin(), rows.end(), [&](const CopyRow& copy) { return copy.oid == failure.copy; });
  if (row == rows.end() || row->state != "live") {
    live_.erase(failure.copy);
    batches_.exclude(failure.copy, std::nullopt);
    refreshed_ = {};
  } else if (kind == Verdict::locked || kind == Verdict::retry) {
    if (kind == Verdict::retry && ++failures_[failure.copy] < attempts_max) {
      if (!batches_.repeatable()) throw LogRestart();
      if (stop_.wait(retry_wait * failures_[failure.copy])) throw Interrupted();
      return;
    }
    leave_out(failure.copy, SetAside{failure.copy, "catching_up", position, failure.error.sqlstate(),
                                     failure.error.message(), std::nullopt});
    // It still needs the slot until its worker has one of its own.
    ack_.hold(failure.copy, position);
    held_[failure.copy] = position;
  } else if (batches_.repeatable()) {
    const std::optional<SetAside> aside = isolate(session_, scope_, live.row.plan(position), batches_.pieces());
    if (aside) {
      report(*aside);
      live_.erase(failure.copy);
    } else {
      // It went well this time, and the copy is ahead of the others now.
      live_[failure.copy].position = batches_.end().lsn;
    }
    batches_.exclude(failure.copy, std::nullopt);
  } else {
    leave_out(failure.copy, SetAside{failure.copy, kind == Verdict::stale ? "stale" : "failed", position,
                                     failure.error.sqlstate(), failure.error.message(), std::nullopt});
  }
  if (!batches_.repeatable()) throw LogRestart();
}

// The others go on without it. What it is set aside for is recorded within their batch, or now when there is no batch
// left.
void Applier::leave_out(uint32_t copy, SetAside aside) {
  if (batches_.repeatable()) return batches_.exclude(copy, std::move(aside));
  session_.begin();
  session_.begin_batch(token_);
  session_.set_aside(aside);
  session_.commit();
  report(aside);
  live_.erase(copy);
}

void Applier::report(const SetAside& aside) const {
  const auto name = known_.find(aside.copy);
  log_line(aside.state == "failed" ? LogLevel::error : LogLevel::warning, "a copy was set aside",
           {{"copy", name == known_.end() ? std::to_string(aside.copy) : name->second},
            {"state", aside.state},
            {"sqlstate", aside.sqlstate.value_or("")},
            {"reason", aside.reason.value_or("")},
            {"lsn", aside.lsn.value_or(Lsn{})},
            {"failed_lsn", aside.failed_lsn.value_or(Lsn{})}});
}

void Applier::housekeeping() {
  reload();
  if (workers_.fenced() || heartbeat_.fenced())
    throw RunError(RunError::Kind::fenced, "another sidecar has taken over this source");
  const Clock::time_point now = Clock::now();
  if (now >= looked_ + gather_wait) {
    looked_ = now;
    while (session_.connection().notification(0ms)) refreshed_ = {};
  }
  if (!workers_.finished().empty()) refreshed_ = {};
  if (now >= refreshed_ + refresh_interval) {
    const double seconds = duration<double>(now - measured_).count();
    rows_per_second_ = static_cast<double>(rows_measured_) / std::max(seconds, 0.001);
    rows_measured_ = 0;
    measured_ = now;
    refreshed_ = now;  // before: what is done about a request may ask for another look
    refresh();
  }
  while (const std::optional<JoinDesk::Request> request = desk_.next()) join(*request);
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
  batches_.sizer().set_limits(batch_options(settings_).size);
  let_go_.clear();
  log_info("settings were reloaded");
}

// What is asked of us now, compared with what we do.
void Applier::refresh() {
  const std::vector<CopyRow> rows = session_.copies();
  std::map<uint32_t, std::string> known;
  WantedColumns wanted;
  for (const CopyRow& row : rows) {
    known[row.oid] = row.name;
    for (const CopySource& source : row.sources) {
      std::vector<uint32_t>& columns = wanted[source.relation];
      columns.insert(columns.end(), source.columns.begin(), source.columns.end());
    }
  }
  log_.want(std::move(wanted));
  bool gone = false;
  for (const auto& [copy, name] : known_) {
    if (known.contains(copy)) continue;
    log_info("a copy was dropped", {{"copy", name}});
    workers_.cancel(copy);
    live_.erase(copy);
    held_.erase(copy);
    let_go_.erase(copy);
    ack_.release(copy);
    gone = true;
  }
  known_ = std::move(known);
  let_go_fill_slots(rows);
  for (const CopyRow& row : rows) refresh(row);
  loaded_ = true;
  let_go();
  if (gone) {
    drop_orphan_slots(session_.connection(), settings_.slot, rows);
  }
}

void Applier::refresh(const CopyRow& row) {
  const bool pause = row.requested == "pause";
  if (row.state == "live") {
    held_.erase(row.oid);
    ack_.release(row.oid);
    if (!live_.contains(row.oid)) {
      // At the start all live copies are found here; later ones come through join().
      if (loaded_) return;
      live_[row.oid] = Live{row, row.lsn.value_or(position_)};
    }
    if (row.problem) return set_aside(row.oid, "failed", "42501", row.problem);
    if (pause) {
      log_info("a copy was paused", {{"copy", row.name}});
      set_aside(row.oid, "paused", std::nullopt, std::nullopt);
    }
    return;
  }
  // It was live for us and is not any more: somebody else has set it aside.
  live_.erase(row.oid);
  if (row.state == "paused" && !pause) {
    log_info("a copy goes on", {{"copy", row.name}});
    hold(row);
    return set_aside(row.oid, "catching_up", std::nullopt, std::nullopt);
  }
  if (row.state == "waiting" || row.state == "filling" || row.state == "catching_up") {
    if (row.state == "catching_up") {
      hold(row);
    } else {
      held_.erase(row.oid);
      ack_.release(row.oid);
    }
    pause || overdue_.contains(row.oid) ? workers_.cancel(row.oid) : workers_.start(row);
    return;
  }
  if (row.state == "paused") return hold(row);
  held_.erase(row.oid);
  ack_.release(row.oid);
}

// A copy that is neither live nor given up needs the log from its position on, as long as the slot still has it.
void Applier::hold(const CopyRow& row) {
  if (!row.lsn || let_go_.contains(row.oid) || !ack_.keeps(*row.lsn)) return;
  held_[row.oid] = *row.lsn;
  ack_.hold(row.oid, *row.lsn);
}

// wal_keep_limit: copies that would keep more WAL than that are let go; they are filled anew when they go on.
void Applier::let_go() {
  if (settings_.wal_keep_limit_bytes <= 0) return;
  for (auto held = held_.begin(); held != held_.end();) {
    const auto kept = static_cast<int64_t>(batches_.wal().inserted.value() - held->second.value());
    if (kept <= settings_.wal_keep_limit_bytes) {
      ++held;
      continue;
    }
    log_warning(
        "a copy is behind by more than wal_keep_limit, its WAL is not kept any more; it is filled anew when it goes on",
        {{"copy", known_[held->first]},
         {"lsn", held->second},
         {"kept_bytes", kept},
         {"limit_bytes", settings_.wal_keep_limit_bytes}});
    ack_.release(held->first);
    let_go_.insert(held->first);
    held = held_.erase(held);
  }
}

// The same for copies with a slot of their own: a fill that is paused or stuck must not fill the server's disk.
void Applier::let_go_fill_slots(const std::vector<CopyRow>& rows) {
  overdue_.clear();
  if (settings_.wal_keep_limit_bytes <= 0) return;
  for (const CopyRow& row : rows) {
    if (row.state != "filling" && row.state != "catching_up") continue;
    const std::string slot = fill_slot_name(settings_.slot, row.id);
    const Result kept = session_.connection().exec(
        "SELECT pg_current_wal_insert_lsn() - restart_lsn > $2::bigint FROM pg_replication_slots "
        "WHERE slot_name = $1 AND restart_lsn IS NOT NULL",
        Parameters().text(slot).integer(settings_.wal_keep_limit_bytes));
    if (kept.rows() == 0 || !kept.boolean(0, 0)) continue;
    overdue_.insert(row.oid);
    if (workers_.has(row.oid)) continue;  // cancelled below; its slot is free the next time
    log_warning("the slot of a copy keeps more WAL than wal_keep_limit; it is dropped, and the copy is filled anew",
                {{"copy", row.name}, {"slot", slot}, {"limit_bytes", settings_.wal_keep_limit_bytes}});
    set_aside(row.oid, "waiting", std::nullopt, "the WAL kept for it had passed wal_keep_limit");
    drop_fill_slot(session_.connection(), slot);
  }
}

// In a transaction of its own, at the copy's position.
void Applier::set_aside(uint32_t copy, const std::string& state, std::optional<std::string> sqlstate,
                        std::optional<std::string> reason) {
  SetAside aside{copy, state, std::nullopt, std::move(sqlstate), std::move(reason), std::nullopt};
  const auto live = live_.find(copy);
  if (live != live_.end()) aside.lsn = position_of(live->second);
  session_.begin();
  session_.begin_batch(token_);
  session_.set_aside(aside);
  failpoint("set_aside_before_commit");
  session_.commit();
  if (live != live_.end()) {
    if (state == "paused") {
      held_[copy] = *aside.lsn;
      ack_.hold(copy, *aside.lsn);
    }
    live_.erase(live);
  }
  if (aside.reason) report(aside);
  refreshed_ = {};
}

// A worker offers a copy that is level: from here on it is in our batches.
void Applier::join(const JoinDesk::Request& request) {
  if (position_ > request.position) return desk_.answer(request.copy, JoinDesk::Answer::behind);
  const std::vector<CopyRow> rows = session_.copies();
  const auto row =
      std::find_if(rows.begin(), rows.end(), [&](const CopyRow& copy) { return copy.oid == request.copy; });
  if (row == rows.end()) return desk_.answer(request.copy, JoinDesk::Answer::refused);
  try {
    session_.begin();
    session_.set_lock_timeout(join_lock_wait_);
    session_.begin_batch(token_);
    session_.show(request.copy, request.position);
    failpoint("join_before_commit");
    session_.commit();
  } catch (const PgError& error) {
    const Verdict kind = verdict(error);
    if (kind == Verdict::reconnect || kind == Verdict::fenced) throw;
    session_.rollback();
    if (kind == Verdict::locked || kind == Verdict::retry) {
      join_lock_wait_ = std::min(join_lock_wait_ * 2, join_lock_wait_max);
      log_info("a copy is level; its view is in use and is shown as soon as it can be locked", {{"copy", row->name}});
      return desk_.answer(request.copy, JoinDesk::Answer::busy);
    }
    set_aside(request.copy, "failed", error.sqlstate(), error.message());
    return desk_.answer(request.copy, JoinDesk::Answer::refused);
  }
  join_lock_wait_ = join_lock_wait_min;
  CopyRow joined = *row;
  joined.state = "live";
  log_info("a copy is live", {{"copy", joined.name}, {"lsn", request.position}});
  known_[request.copy] = joined.name;
  live_[request.copy] = Live{std::move(joined), request.position};
  held_.erase(request.copy);
  let_go_.erase(request.copy);
  ack_.release(request.copy);
  failpoint("join_committed");
  desk_.answer(request.copy, JoinDesk::Answer::accepted);
}

// Nothing comes in. The position still moves with the server's WAL, or the slot would keep all of it.
void Applier::record_idle() {
  const Lsn read = log_.read_position();
  if (read <= position_ || Clock::now() < idle_recorded_ + refresh_interval) return;
  idle_recorded_ = Clock::now();
  batches_.record(read);
  position_ = read;
  ack_.group().recorded(position_, batches_.wal().inserted);
  failpoint("idle_recorded");
  confirm();
}

void Applier::confirm() {
  ack_.group().flushed(batches_.wal().flushed);
  log_.acknowledge(ack_.confirmable());
}

ApplierMetrics Applier::metrics() const {
  const BatchSizer& sizer = batches_.sizer();
  return ApplierMetrics{rows_per_second_, sizer.rows(), sizer.interval(), sizer.cost_ratio(),
                        batches_.wal().inserted.value() - std::min(batches_.wal().inserted.value(), position_.value())};
}

}  // namespace anabranch
