#include "sidecar/apply/batch.hpp"

#include <algorithm>
#include <utility>

#include "sidecar/apply/failure.hpp"
#include "sidecar/failpoint.hpp"

namespace anabranch {
namespace {

using std::chrono::duration_cast;
using std::chrono::microseconds;
using std::chrono::milliseconds;

// How long one wait for the rest of an open transaction lasts before the log is asked again.
constexpr milliseconds piece_wait{1'000};

// Tells an error of a statement in the pipeline from one of the log.
struct StatementFailed {
  PgError error;
};

}  // namespace

Batches::Batches(Session& session, ChangeLog& log, BatchScope& scope, const BatchOptions& options)
    : session_(session), log_(log), scope_(scope), options_(options), sizer_(options.size) {
  wal_ = session_.wal_status();
}

bool Batches::due(Clock::time_point now) const {
  if (pending_.empty()) return false;
  if (pending_.rows() >= sizer_.rows() || pending_.bytes() >= options_.pending_bytes_max) return true;
  return pending_.whole() && now >= last_start_ + sizer_.interval();
}

bool Batches::gather(milliseconds wait) {
  if (failure_) return true;
  const Clock::time_point deadline = Clock::now() + wait;
  while (pending_.rows() < sizer_.rows() && pending_.bytes() < options_.pending_bytes_max) {
    const Clock::time_point now = Clock::now();
    Clock::time_point until = deadline;
    if (pending_.whole()) until = std::min(until, last_start_ + sizer_.interval());
    // Rounded up: a wait of zero would spin through the last millisecond.
    const milliseconds left =
        until > now ? duration_cast<milliseconds>(until - now + milliseconds{1} - microseconds{1}) : milliseconds{0};
    std::optional<TransactionPiece> piece = log_.next(left);
    if (piece) {
      pending_.push(std::move(*piece));
    } else if (Clock::now() >= until) {
      break;
    }
  }
  return due(Clock::now());
}

bool Batches::choose(Pending::Cut& cut) {
  const bool take_open = pending_.rows() >= sizer_.rows() || pending_.bytes() >= options_.pending_bytes_max;
  cut = pending_.cut(wal_.snapshot, sizer_.rows(), take_open);
  if (cut.hidden_xid != 0) {
    // The snapshot is that of the last batch; what was committed since shows in a new one.
    refresh_wal();
    cut = pending_.cut(wal_.snapshot, sizer_.rows(), take_open);
  }
  hidden_xid_ = cut.hidden_xid;
  return cut.pieces > 0;
}

Batches::Outcome Batches::step(const std::vector<CopyPlan>& plans) {
  const Clock::time_point started = Clock::now();
  try {
    if (!failure_) {
      if (pending_.empty()) return Outcome::nothing;
      Pending::Cut cut;
      if (!choose(cut)) return hidden_xid_ != 0 ? Outcome::hidden : Outcome::nothing;
      plans_ = plans;
      batch_ = Batch{};
      full_ = cut.rows >= sizer_.rows();
      consolidate(cut);
    }
    failure_.reset();
    open_transaction();
    send_work();
    for (const SetAside& aside : batch_.asides) session_.send_set_aside(aside);
    scope_.send_close(session_, batch_.end);
    failpoint("batch_before_commit");
    session_.send_commit();
    session_.send_wal_status();
    failpoint("batch_sent");
    finish(started);
    return Outcome::applied;
  } catch (const StatementFailed& failed) {
    const std::size_t statement = failed.error.statement();
    const uint32_t copy = statement < sent_.size() ? sent_[statement] : 0;
    sent_.clear();
    open_ = false;
    if (failed.error.connection_lost() || copy == 0) throw PgError(failed.error);
    session_.rollback();
    failure_ = CopyFailure{copy, failed.error};
    return Outcome::failed;
  }
}

// Takes the pieces of the cut, and of an open transaction all that follow, out of the queue. What does not fit into one
// round is sent on the way.
void Batches::consolidate(const Pending::Cut& cut) {
  consolidator_.plan(plans_);
  for (std::size_t i = 0; i < cut.pieces; ++i) {
    add(pending_.pop(), !cut.open);
    if (consolidator_.bytes() >= options_.round_bytes_max) stream_round();
  }
  while (cut.open && batch_.end.transactions == 0) {
    if (!pending_.empty()) {
      add(pending_.pop(), false);
    } else if (std::optional<TransactionPiece> piece = log_.next(piece_wait)) {
      add(std::move(*piece), false);
    }
    if (consolidator_.bytes() >= options_.round_bytes_max) stream_round();
  }
  take_work();
  if (cut.open) batch_.repeatable = false;
}

void Batches::add(TransactionPiece piece, bool keep) {
  consolidator_.add(piece);
  if (piece.last()) {
    batch_.end.lsn = *piece.end_lsn;
    if (piece.commit_time != 0) batch_.end.commit_time = piece.commit_time;
    ++batch_.end.transactions;
  }
  if (keep && batch_.repeatable) batch_.pieces.push_back(std::move(piece));
}

void Batches::take_work() {
  Consolidated work = consolidator_.take();
  batch_.end.rows += work.changes;
  batch_.ddl.insert(batch_.ddl.end(), std::make_move_iterator(work.ddl.begin()),
                    std::make_move_iterator(work.ddl.end()));
  for (const CopyDelta& copy : work.copies) {
    if (!copy.problem) continue;
    const CopyPlan* plan = plan_of(copy.copy);
    // A fill that cannot go on begins again.
    const bool again = copy.problem->state == "filling";
    batch_.asides.push_back(SetAside{copy.copy, again ? "waiting" : copy.problem->state,
                                     plan != nullptr ? std::optional(plan->position) : std::nullopt,
                                     copy.problem->sqlstate, copy.problem->reason, std::nullopt});
  }
  batch_.work = std::move(work.copies);
}

void Batches::stream_round() {
  batch_.repeatable = false;
  batch_.pieces.clear();
  take_work();
  // The round before has been worked on while this one was consolidated.
  collect();
  open_transaction();
  send_work();
  failpoint("round_sent");
}

void Batches::open_transaction() {
  if (open_) return;
  try {
    scope_.open(session_);
  } catch (const PgError& error) {
    throw StatementFailed{error};
  }
  open_ = true;
}

const CopyPlan* Batches::plan_of(uint32_t copy) const {
  const auto found =
      std::find_if(plans_.begin(), plans_.end(), [&](const CopyPlan& plan) { return plan.copy == copy; });
  return found == plans_.end() ? nullptr : &*found;
}

void Batches::send_work() {
  sent_.resize(session_.connection().pending(), 0);
  for (const CopyDelta& copy : batch_.work) {
    const CopyPlan* plan = plan_of(copy.copy);
    for (const std::string& delta : copy.deltas) {
      session_.send_apply(copy.copy, plan != nullptr && plan->with_xid, delta);
      sent_.push_back(copy.copy);
    }
  }
}

std::vector<Result> Batches::collect() {
  if (session_.connection().pending() == 0) return {};
  try {
    std::vector<Result> results = session_.connection().collect();
    sent_.clear();
    return results;
  } catch (const PgError& error) {
    throw StatementFailed{error};
  }
}

void Batches::finish(Clock::time_point started) {
  wal_ = Session::read_wal_status(collect().back());
  open_ = false;
  failpoint("batch_committed");
  const Clock::time_point now = Clock::now();
  if (batch_.repeatable) {
    sizer_.record(BatchSizer::Sample{batch_.end.rows, duration_cast<microseconds>(now - started),
                                     duration_cast<microseconds>(started - last_start_), full_});
  }
  last_start_ = started;
  batch_.pieces.clear();
}

void Batches::record(Lsn position) {
  scope_.open(session_);
  scope_.send_close(session_, BatchEnd{position, 0, 0, 0});
  session_.send_commit();
  session_.send_wal_status();
  wal_ = Session::read_wal_status(session_.connection().collect().back());
}

void Batches::exclude(uint32_t copy, std::optional<SetAside> aside) {
  std::erase_if(batch_.work, [&](const CopyDelta& delta) { return delta.copy == copy; });
  if (aside) batch_.asides.push_back(std::move(*aside));
}

void Batches::reset() {
  pending_.clear();
  batch_ = Batch{};
  failure_.reset();
  consolidator_ = Consolidator{};
}

}  // namespace anabranch
