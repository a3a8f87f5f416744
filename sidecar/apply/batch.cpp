#include "sidecar/apply/batch.hpp"

#include <algorithm>
#include <utility>

#include "sidecar/apply/failure.hpp"
#include "sidecar/failpoint.hpp"
#include "sidecar/logging.hpp"

namespace anabranch {
namespace {

using std::chrono::duration_cast;
using std::chrono::microseconds;
using std::chrono::milliseconds;

// How long one wait for the rest of an open transaction lasts before the log is asked again.
constexpr milliseconds piece_wait{1'000};
// A batch that grows waits so long for the reader, which may be slower than the applier.
constexpr milliseconds grow_wait{50};
// The log is read from behind: with so much WAL still to come, more is at hand soon.
constexpr uint64_t behind_bytes_min = 8 << 20;
// It grows until so many times the time that merging it is going to take have passed.
constexpr int grow_merge_times = 4;

// Tells an error of a statement in the pipeline from one of the log.
struct StatementFailed {
  PgError error;
};

}  // namespace

Batches::Batches(Session& session, ChangeLog& log, BatchScope& scope, const BatchOptions& options)
    : session_(session),
      log_(log),
      scope_(scope),
      options_(options),
      sizer_(options.size),
      merge_time_(options.grown_time_max) {
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
      // pending_ still holds what there was to choose from.
      full_ = cut.rows >= sizer_.rows() || pending_.bytes() >= options_.pending_bytes_max;
      gathered_.clear();
      consolidate(cut, started);
    }
    failure_.reset();
    if (!batch_.repeatable) collect_round();
    const Clock::time_point merging = Clock::now();
    open_transaction();
    send_letters();
    send_work(true);
    for (const SetAside& aside : batch_.asides) session_.send_set_aside(aside);
    scope_.send_close(session_, batch_.end);
    failpoint("batch_before_commit");
    session_.send_commit();
    session_.send_wal_status();
    failpoint("batch_sent");
    finish(started);
    const Clock::duration merged = Clock::now() - merging;
    merge_time_ = std::max(merged, (merge_time_ + merged) / 2);
    return Outcome::applied;
  } catch (const StatementFailed& failed) {
    const std::size_t statement = failed.error.statement();
    const uint32_t copy = statement < sent_.size() ? sent_[statement] : 0;
    sent_.clear();
    gathered_.clear();
    open_ = false;
    if (failed.error.connection_lost() || copy == 0) throw PgError(failed.error);
    session_.rollback();
    failure_ = CopyFailure{copy, failed.error};
    return Outcome::failed;
  }
}

// Takes the pieces of the cut, of an open transaction all that follow, and of a backlog what is at hand, out of the
// queue. What does not fit into one round is sent on the way.
void Batches::consolidate(const Pending::Cut& cut, Clock::time_point started) {
  consolidator_.plan(plans_);
  bool inside = false;
  const auto take = [&](TransactionPiece piece, bool keep) {
    inside = !piece.last();
    add(std::move(piece), keep);
    if (consolidator_.bytes() + batch_.letter_bytes >= options_.round_bytes_max) stream_round();
  };
  for (std::size_t i = 0; i < cut.pieces; ++i) take(pending_.pop(), !cut.open);
  while (inside || (may_grow(started) && at_hand(inside))) {
    if (inside && !at_hand(inside)) continue;
    batch_.grown = batch_.grown || !cut.open || batch_.end.transactions > 0;
    batch_.repeatable = false;
    batch_.pieces.clear();
    take(pending_.pop(), false);
  }
  if (cut.open) batch_.repeatable = false;
  take_work();
}

bool Batches::may_grow(Clock::time_point started) const {
  const bool behind = wal_.inserted.value() > batch_.end.lsn.value() + behind_bytes_min;
  if ((!full_ && !behind) || batch_.end.lsn <= small_until_) return false;
  if (batch_.end.rows + consolidator_.changes() >= options_.grown_rows_max) return false;
  if (options_.stop != nullptr && options_.stop->requested()) return false;
  const auto time_max = std::min<Clock::duration>(options_.grown_time_max, grow_merge_times * merge_time_);
  return Clock::now() < started + time_max;
}

// Whether pending_ begins with a piece that the batch may take: the next one of an open transaction, or, by rule V, one
// of a transaction that is visible.
bool Batches::at_hand(bool inside) {
  if (pending_.empty()) {
    std::optional<TransactionPiece> piece = log_.next(inside ? piece_wait : grow_wait);
    if (!piece) return false;
    pending_.push(std::move(*piece));
  }
  return inside || wal_.snapshot.visible(pending_.front().xid);
}

void Batches::add(TransactionPiece piece, bool keep) {
  consolidator_.add(piece);
  for (DeadLetter& letter : dead_letters_of(piece)) {
    batch_.letter_bytes += sizeof(DeadLetter) + letter.content.size() + letter.reason.size() + letter.key.size();
    batch_.letters.push_back(std::move(letter));
  }
  if (piece.last()) {
    batch_.end.lsn = *piece.end_lsn;
    batch_.end.log_offset = piece.log_offset;
    if (piece.commit_time != 0) batch_.end.commit_time = piece.commit_time;
    ++batch_.end.transactions;
  }
  if (keep && batch_.repeatable) batch_.pieces.push_back(std::move(piece));
}

// A batch that can be repeated sends them again.
void Batches::send_letters() {
  if (batch_.letters.empty()) return;
  for (const DeadLetter& letter : batch_.letters) session_.send_dead_letter(options_.source, letter);
  const DeadLetter& first = batch_.letters.front();
  log_warning(
      "messages are no rows of their streams and are set aside",
      {{"messages", batch_.letters.size()}, {"lsn", first.lsn}, {"stream", first.stream}, {"reason", first.reason}});
  if (batch_.repeatable) return;
  batch_.letters.clear();
  batch_.letter_bytes = 0;
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
  collect_round();
  open_transaction();
  send_letters();
  send_work(false);
  // What a batch may grow by is what has become visible meanwhile.
  session_.send_wal_status();
  failpoint("round_sent");
}

void Batches::collect_round() {
  const std::vector<Result> results = collect();
  if (!results.empty()) wal_ = Session::read_wal_status(results.back());
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

void Batches::send_work(bool last) {
  sent_.resize(session_.connection().pending(), 0);
  for (const CopyDelta& copy : batch_.work) send_copy(copy, last);
  if (!last) return;
  for (const auto& [copy, gathered] : gathered_) {
    // Those that had nothing in the last round.
    if (gathered.rows > 0) send_apply(copy, "");
  }
  gathered_.clear();
}

// Net changes of keys must be applied one round after the other; those of images can wait for each other.
void Batches::send_copy(const CopyDelta& copy, bool last) {
  const CopyPlan* plan = plan_of(copy.copy);
  Gathered& gathered = gathered_[copy.copy];
  for (std::size_t i = 0; i < copy.deltas.size(); ++i) {
    const std::string& delta = copy.deltas[i];
    gathered.rows += copy.rows / copy.deltas.size() + 1;
    gathered.bytes += delta.size();
    const bool enough = gathered.rows >= options_.gathered_rows_max || gathered.bytes >= options_.gathered_bytes_max;
    if (plan == nullptr || plan->rows_class || enough || (last && i + 1 == copy.deltas.size())) {
      send_apply(copy.copy, delta);
      gathered = Gathered{};
    } else {
      session_.send_gather(copy.copy, plan->with_xid, delta);
      sent_.push_back(copy.copy);
    }
  }
}

void Batches::send_apply(uint32_t copy, std::string_view delta) {
  const CopyPlan* plan = plan_of(copy);
  session_.send_apply(copy, plan != nullptr && plan->with_xid, delta);
  sent_.push_back(copy);
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
  scope_.send_close(session_, BatchEnd{position, 0, 0, 0, -1});
  session_.send_commit();
  session_.send_wal_status();
  wal_ = Session::read_wal_status(session_.connection().collect().back());
}

void Batches::exclude(uint32_t copy, std::optional<SetAside> aside) {
  std::erase_if(batch_.work, [&](const CopyDelta& delta) { return delta.copy == copy; });
  if (aside) batch_.asides.push_back(std::move(*aside));
}

void Batches::reset(Lsn small_until) {
  small_until_ = small_until;
  pending_.clear();
  batch_ = Batch{};
  failure_.reset();
  consolidator_ = Consolidator{};
}

}  // namespace anabranch
