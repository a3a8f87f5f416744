#include "sidecar/apply/copies.hpp"

#include <utility>

#include "sidecar/apply/failure.hpp"
#include "sidecar/copy/fill_slot.hpp"
#include "sidecar/failpoint.hpp"
#include "sidecar/logging.hpp"

namespace anabranch {
namespace {

using std::chrono::milliseconds;
using namespace std::chrono_literals;

constexpr milliseconds refresh_interval = 1s;
// While it waits for the lock on a view to show it, every live copy waits: it grows from attempt to attempt.
constexpr milliseconds join_lock_wait_min = 20ms;
constexpr milliseconds join_lock_wait_max = 500ms;
// Readers of the view wait behind ours.
constexpr milliseconds swap_lock_wait = 50ms;
constexpr const char* slot_in_use = "55006";

const CopyRow* find(const std::vector<CopyRow>& rows, uint32_t copy) {
  const auto row = std::find_if(rows.begin(), rows.end(), [&](const CopyRow& each) { return each.oid == copy; });
  return row == rows.end() ? nullptr : &*row;
}

}  // namespace

WantedColumns wanted_columns(const std::vector<CopyRow>& copies) {
  WantedColumns wanted;
  for (const CopyRow& row : copies) {
    for (const CopySource& source : row.sources) {
      std::vector<uint32_t>& columns = wanted[source.relation];
      columns.insert(columns.end(), source.columns.begin(), source.columns.end());
    }
  }
  return wanted;
}

Copies::Copies(const RunSettings& settings, Session& session, ChangeLog& log, const SourceToken& token,
               Workers& workers, Lsn position, Lsn confirmed)
    : settings_(settings),
      session_(session),
      log_(log),
      token_(token),
      workers_(workers),
      position_(position),
      ack_(confirmed, position),
      join_lock_wait_(join_lock_wait_min) {}

std::vector<CopyPlan> Copies::plans() const {
  std::vector<CopyPlan> plans;
  for (const auto& [copy, live] : live_) plans.push_back(live.row.plan(position_of(live)));
  return plans;
}

std::optional<CopyPlan> Copies::plan(uint32_t copy) const {
  const auto live = live_.find(copy);
  if (live == live_.end()) return std::nullopt;
  return live->second.row.plan(position_of(live->second));
}

std::string Copies::name(uint32_t copy) const {
  const auto name = known_.find(copy);
  return name == known_.end() ? std::to_string(copy) : name->second;
}

void Copies::recorded(Lsn position, const WalStatus& wal) {
  position_ = position;
  ack_.group().recorded(position, wal.inserted);
  ack_.group().flushed(wal.flushed);
}

// --- What is asked of us, compared with what we do ------------------------------------------------------------------

bool Copies::refresh_due(Clock::time_point now) const {
  return now >= refreshed_ + refresh_interval;
}

void Copies::refresh(Clock::time_point now, Lsn wal_inserted) {
  refreshed_ = now;  // before: what is done about a request may ask for another look
  swap_twins();
  const std::vector<CopyRow> rows = session_.copies();
  log_.want(wanted_columns(rows));
  std::map<uint32_t, std::string> known;
  for (const CopyRow& row : rows) known[row.oid] = row.name;
  bool gone = false;
  for (const auto& [copy, name] : known_) {
    if (known.contains(copy)) continue;
    log_info("a copy was dropped", {{"copy", name}});
    forget(copy);
    gone = true;
  }
  known_ = std::move(known);
  let_go_fill_slots(rows);
  for (const CopyRow& row : rows) refresh(row);
  loaded_ = true;
  let_go(wal_inserted);
  if (gone) drop_orphan_slots(session_.connection(), settings_.slot, rows);
}

// Two copies change places, at one position and between two batches: what the next batch is for is read anew.
void Copies::swap_twins() {
  const Result twins = session_.connection().exec("SELECT anabranch.twins_to_swap()", Parameters());
  for (std::size_t row = 0; row < twins.rows(); ++row) {
    const auto twin = static_cast<uint32_t>(twins.integer(row, 0));
    try {
      session_.begin();
      session_.set_lock_timeout(swap_lock_wait);
      session_.begin_batch(token_);
      session_.connection().exec("SELECT anabranch.carry_out_swap($1::oid)", Parameters().integer(twin));
      failpoint("swap_before_commit");
      session_.commit();
      failpoint("swap_committed");
    } catch (const PgError& error) {
      const Verdict kind = verdict(error);
      if (kind == Verdict::reconnect || kind == Verdict::fenced) throw;
      session_.rollback();
      // Somebody reads it now: with the next look.
      if (kind == Verdict::locked || kind == Verdict::retry) continue;
      log_warning("a copy cannot be swapped", {{"copy", name(twin)}, {"error", error.message()}});
      session_.connection().exec("SELECT anabranch.give_up_swap($1::oid, $2)",
                                 Parameters().integer(twin).text(in_words(error)));
      continue;
    }
    live_.clear();
    for (const CopyRow& found : session_.copies()) {
      if (found.state == "live") live_[found.oid] = Live{found, found.lsn.value_or(position_)};
      known_[found.oid] = found.name;
    }
    log_info("a copy was swapped", {{"copy", name(twin)}, {"lsn", position_}});
  }
}

void Copies::forget(uint32_t copy) {
  workers_.cancel(copy);
  live_.erase(copy);
  let_go_.erase(copy);
  ack_.release(copy);
}

void Copies::refresh(const CopyRow& row) {
  if (row.state == "live") return refresh_live(row);
  // It was live for us and is not any more: somebody else has set it aside.
  live_.erase(row.oid);
  const bool pause = row.requested == "pause";
  if (row.state == "paused" && !pause) {
    log_info("a copy goes on", {{"copy", row.name}});
    hold(row);
    return set_aside(row.oid, "catching_up", std::nullopt, std::nullopt);
  }
  if (row.state == "paused") return hold(row);
  if (row.state == "catching_up")
    hold(row);
  else
    ack_.release(row.oid);
  if (row.state == "waiting" || row.state == "filling" || row.state == "catching_up")
    pause || overdue_.contains(row.oid) ? workers_.cancel(row.oid) : workers_.start(row);
}

void Copies::refresh_live(const CopyRow& row) {
  ack_.release(row.oid);
  if (!live_.contains(row.oid)) {
    // At the start all live copies are found here; later ones come through join().
    if (loaded_) return;
    live_[row.oid] = Live{row, row.lsn.value_or(position_)};
  }
  if (row.problem) return set_aside(row.oid, "failed", "42501", row.problem);
  if (row.requested == "pause") {
    log_info("a copy was paused", {{"copy", row.name}});
    set_aside(row.oid, "paused", std::nullopt, std::nullopt);
  }
}

// --- What the slot keeps --------------------------------------------------------------------------------------------

// A copy that is neither live nor given up needs the log from its position on, as long as the slot still has it.
void Copies::hold(const CopyRow& row) {
  if (!row.lsn || let_go_.contains(row.oid) || !ack_.keeps(*row.lsn)) return;
  hold(row.oid, *row.lsn);
}

// wal_keep_limit: copies that would keep more WAL than that are let go; they are filled anew when they go on.
void Copies::let_go(Lsn wal_inserted) {
  // What copies need is in Kafka then, and the slot is the publisher's.
  if (settings_.kafka || settings_.wal_keep_limit_bytes <= 0) return;
  std::vector<uint32_t> over_limit;
  for (const auto& [copy, position] : ack_.held()) {
    const auto kept = static_cast<int64_t>(wal_inserted.value() - position.value());
    if (kept <= settings_.wal_keep_limit_bytes) continue;
    log_warning(
        "a copy is behind by more than wal_keep_limit, its WAL is not kept any more; it is filled anew when it goes on",
        {{"copy", name(copy)},
         {"lsn", position},
         {"kept_bytes", kept},
         {"limit_bytes", settings_.wal_keep_limit_bytes}});
    over_limit.push_back(copy);
  }
  for (const uint32_t copy : over_limit) {
    ack_.release(copy);
    let_go_.insert(copy);
  }
}

// The same for copies with a slot of their own: a fill that is paused or stuck must not fill the server's disk.
void Copies::let_go_fill_slots(const std::vector<CopyRow>& rows) {
  overdue_.clear();
  if (settings_.wal_keep_limit_bytes <= 0) return;
  for (const CopyRow& row : rows) {
    if (row.state != "waiting" && row.state != "filling" && row.state != "catching_up") continue;
    const std::string slot = fill_slot_name(settings_.slot, row.id);
    // A new slot reaches back as far as the sidecar's own may: dropping it would free nothing.
    const Result kept = session_.connection().exec(
        "SELECT pg_current_wal_insert_lsn() - k.restart_lsn > $2::bigint AND k.restart_lsn < own.restart_lsn "
        "FROM pg_replication_slots AS k JOIN pg_replication_slots AS own ON own.slot_name = $3 "
        "WHERE k.slot_name = $1 AND k.restart_lsn IS NOT NULL AND own.restart_lsn IS NOT NULL",
        Parameters().text(slot).integer(settings_.wal_keep_limit_bytes).text(settings_.slot));
    if (kept.rows() == 0 || !kept.boolean(0, 0)) continue;
    overdue_.insert(row.oid);
    if (workers_.has(row.oid)) continue;  // cancelled below; its slot is free the next time
    log_warning("the slot of a copy keeps more WAL than wal_keep_limit; it is dropped, and the copy is filled anew",
                {{"copy", row.name}, {"slot", slot}, {"limit_bytes", settings_.wal_keep_limit_bytes}});
    set_aside(row.oid, "waiting", std::nullopt, "the WAL kept for it had passed wal_keep_limit");
    try {
      drop_fill_slot(session_.connection(), slot);
    } catch (const PgError& error) {
      // The server has not missed the worker yet. The next one drops the slot before it begins.
      if (error.sqlstate() != slot_in_use) throw;
    }
  }
}

// --- Leaving and joining --------------------------------------------------------------------------------------------

bool Copies::still_live(uint32_t copy) {
  const std::vector<CopyRow> rows = session_.copies();
  const CopyRow* row = find(rows, copy);
  if (row != nullptr && row->state == "live") return true;
  live_.erase(copy);
  refresh_soon();
  return false;
}

void Copies::was_set_aside(const SetAside& aside) {
  log_set_aside(name(aside.copy), aside);
  live_.erase(aside.copy);
  refresh_soon();
}

void Copies::set_aside(uint32_t copy, const std::string& state, std::optional<std::string> sqlstate,
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
    if (state == "paused") hold(copy, *aside.lsn);
    live_.erase(live);
  }
  if (aside.reason) log_set_aside(name(copy), aside);
  refresh_soon();
}

void Copies::sources_changed(const std::vector<uint32_t>& copies, const std::string& reason) {
  for (const uint32_t copy : copies) {
    if (!ack_.holds(copy) || workers_.has(copy)) continue;
    set_aside(copy, "stale", "AN004", reason);
    ack_.release(copy);
  }
}

JoinDesk::Answer Copies::join(const JoinDesk::Request& request) {
  if (position_ > request.position) return JoinDesk::Answer::behind;
  const std::vector<CopyRow> rows = session_.copies();
  const CopyRow* row = find(rows, request.copy);
  if (row == nullptr) return JoinDesk::Answer::refused;
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
      return JoinDesk::Answer::busy;
    }
    set_aside(request.copy, "failed", error.sqlstate(), error.message());
    return JoinDesk::Answer::refused;
  }
  join_lock_wait_ = join_lock_wait_min;
  log_info("a copy is live", {{"copy", row->name}, {"lsn", request.position}});
  known_[request.copy] = row->name;
  live_[request.copy] = Live{*row, request.position};
  let_go_.erase(request.copy);
  ack_.release(request.copy);
  failpoint("join_committed");
  return JoinDesk::Answer::accepted;
}

}  // namespace anabranch
