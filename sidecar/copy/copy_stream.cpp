#include "sidecar/copy/copy_stream.hpp"

#include <algorithm>
#include <stdexcept>
#include <utility>

#include "sidecar/apply/failure.hpp"
#include "sidecar/apply/isolate.hpp"
#include "sidecar/copy/fill_slot.hpp"
#include "sidecar/failpoint.hpp"
#include "sidecar/home.hpp"
#include "sidecar/log/kafka_log.hpp"
#include "sidecar/log/slot_log.hpp"

namespace anabranch {
namespace {

using std::chrono::milliseconds;
using namespace std::chrono_literals;

constexpr milliseconds idle_record_interval = 1s;
constexpr milliseconds idle_wait = 50ms;
constexpr milliseconds hidden_wait = 20ms;
constexpr int apply_attempts_max = 10;
constexpr milliseconds apply_retry_wait = 100ms;

}  // namespace

void CopyStream::Scope::open(Session& session) {
  session.begin();
  if (session.begin_copy_batch(copy.oid, token) != position)
    throw std::runtime_error("another worker has moved the copy " + copy.name);
}

void CopyStream::Scope::send_close(Session& session, const BatchEnd& end) {
  session.send_set_copy_position(copy.oid, end.lsn);
}

CopyStream::CopyStream(const WorkerContext& context, Session& session, const CopyRow& copy, const std::string& slot)
    : context_(context), session_(session), copy_(copy), slot_(slot), scope_(copy, context.token) {}

void CopyStream::start(bool from_topics) {
  ack_.emplace(confirmed_of(session_.connection(), slot_), position());
  if (from_topics) {
    // The place of a copy's position is not recorded: the topics are halved for it.
    log_ = std::make_unique<KafkaLog>(kafka_log_options(context_.settings, session_));
  } else {
    SlotLogOptions options = slot_log_options(context_.settings, worker_options(context_));
    options.slot = slot_;
    log_ = std::make_unique<SlotLog>(std::move(options));
  }
  WantedColumns wanted;
  for (const CopySource& source : copy_.sources) wanted[source.relation] = source.columns;
  log_->want(std::move(wanted));
  log_->start(position());
  BatchOptions options;
  // Eager: it has to overtake the main applier to be taken over.
  options.size.interval_min = options.size.interval_max = 0ms;
  options.size.rows_max = context_.settings.batch_rows_max;
  options.source = context_.settings.source;
  options.stop = &context_.stop;
  batches_.emplace(session_, *log_, scope_, options);
}

void CopyStream::abandon() {
  batches_.reset();
  log_.reset();
  try {
    if (session_.connection().pending() > 0) session_.connection().collect();
  } catch (const PgError& error) {
    if (error.connection_lost()) throw;
  }
  session_.rollback();
}

void CopyStream::run_for(milliseconds time) {
  const Clock::time_point until = Clock::now() + time;
  do {
    if (!batches_->gather(0ms) && batches_->pending().empty()) return;
    if (!step()) return;
  } while (Clock::now() < until);
}

void CopyStream::turn(Lsn wanted) {
  if (batches_->gather(idle_wait)) {
    if (!step() && !over_ && batches_->hidden_xid() != 0 && context_.stop.wait(hidden_wait)) throw Interrupted();
  } else if (batches_->pending().empty()) {
    record_idle(wanted);
  }
}

CopyPlan CopyStream::plan() const {
  return copy_.plan(position(), filling_ && (!level_.valid() || position() < level_));
}

// One batch. False when it must wait for a transaction to become visible, there was none, or the copy was set aside.
bool CopyStream::step() {
  for (int attempt = 1;; ++attempt) {
    switch (batches_->step({plan()})) {
      case Batches::Outcome::nothing:
      case Batches::Outcome::hidden:
        return false;
      case Batches::Outcome::applied:
        move_to(batches_->end().lsn);
        confirm();
        if (!batches_->set_aside().empty()) {
          log_set_aside(copy_.name, batches_->set_aside().front());
          over_ = true;
        }
        failpoint("fill_batch_committed");
        return !over_;
      case Batches::Outcome::failed:
        if (decide(batches_->failure()) || attempt >= apply_attempts_max) throw PgError(batches_->failure().error);
        if (over_) return false;
        if (context_.stop.wait(apply_retry_wait)) throw Interrupted();
        break;
    }
  }
}

// What becomes of the copy after its statement failed: again shortly (false), set aside (over_), or a new session
// (true).
bool CopyStream::decide(const CopyFailure& failure) {
  if (const Verdict kind = verdict(failure.error);
      batches_->grown() && kind != Verdict::reconnect && kind != Verdict::fenced) {
    // Its transactions come again, in batches that can be repeated.
    batches_->reset(batches_->end().lsn);
    log_->start(position());
    return false;
  }
  switch (verdict(failure.error)) {
    case Verdict::retry:
    case Verdict::locked:
      return !batches_->repeatable();
    case Verdict::failed:
    case Verdict::stale:
      break;
    default:
      return true;
  }
  if (!batches_->repeatable()) {
    set_aside(
        SetAside{copy_.oid, "failed", position(), failure.error.sqlstate(), failure.error.message(), std::nullopt});
    return false;
  }
  const std::optional<SetAside> aside = isolate(session_, scope_, plan(), batches_->pieces());
  if (!aside) return true;
  log_set_aside(copy_.name, *aside);
  over_ = true;
  return false;
}

void CopyStream::set_aside(const SetAside& aside) {
  session_.begin();
  session_.begin_copy_batch(copy_.oid, context_.token);
  session_.set_aside(aside);
  session_.commit();
  log_set_aside(copy_.name, aside);
  over_ = true;
}

// Nothing comes in; the position moves with the server's WAL.
void CopyStream::record_idle(Lsn wanted) {
  const Lsn read = log_->read_position();
  if (read <= position() || (position() >= wanted && Clock::now() < recorded_ + idle_record_interval)) return;
  batches_->record(read);
  move_to(read);
  recorded_ = Clock::now();
  confirm();
}

void CopyStream::confirm() {
  ack_->group().recorded(position(), batches_->wal().inserted);
  ack_->group().flushed(batches_->wal().flushed);
  log_->acknowledge(ack_->confirmable());
}

}  // namespace anabranch
