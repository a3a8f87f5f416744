// Method:
//   1. A slot of its own: the main slot is copied, so that what happens from now on is kept for this copy, at its pace.
//   2. fill_start() waits for transactions that wrote to the sources before they were published and empties the copy.
//      The position is the one the main applier has reached: all that ended before is visible to every later snapshot.
//   3. By turns: fill_chunk() reads the next range of a source's key under a short snapshot S_c of its own, stored with
//      the chunk, and adds it to the copy; then the stream goes on for about as long as the chunk took. A change from
//      the stream counts when its row lies in a chunk that has been read and its transaction is not visible in that
//      chunk's S_c. A change to a row not read yet does not count: by rule V it is visible to the S_c of the chunk that
//      will hold it.
//   4. When the last chunk has been read, L is the WAL's insert position: every transaction visible in any S_c ends at
//   or
//      before it. Once the copy is at L, changes count as they come.
//   5. When the copy is level with the main applier it is offered to it at the position recorded. The main applier
//   takes
//      it between two batches if it is not further itself, shows its rows, and skips for it what it has already.
//   6. The slot is dropped.
// Everything that matters is recorded with the data: a worker that is cut off goes on in step 3 or 5. A copy that fell
// behind (paused, or its table was locked) goes through steps 1, 5 and 6 alone, if its slot still reaches back far
// enough.
#include "sidecar/copy/create.hpp"

#include <algorithm>
#include <chrono>
#include <stdexcept>

#include "sidecar/apply/batch.hpp"
#include "sidecar/apply/confirm.hpp"
#include "sidecar/apply/failure.hpp"
#include "sidecar/apply/isolate.hpp"
#include "sidecar/failpoint.hpp"
#include "sidecar/log/slot_log.hpp"
#include "sidecar/logging.hpp"

namespace anabranch {
namespace {

using Clock = std::chrono::steady_clock;
using std::chrono::duration_cast;
using std::chrono::milliseconds;
using namespace std::chrono_literals;

constexpr milliseconds lock_wait_max = 10s;  // for a table of the copy that a user holds
constexpr milliseconds chunk_time_target = 250ms;
constexpr std::size_t chunk_rows_at_start = 5'000;
constexpr std::size_t chunk_rows_min = 500;
constexpr std::size_t chunk_rows_max = 500'000;
constexpr milliseconds report_interval = 5s;
constexpr milliseconds idle_record_interval = 1s;
constexpr milliseconds idle_wait = 50ms;
constexpr milliseconds hidden_wait = 20ms;
constexpr milliseconds join_retry_wait = 200ms;
constexpr int apply_attempts_max = 10;
constexpr milliseconds apply_retry_wait = 100ms;
constexpr int drop_attempts_max = 50;
constexpr milliseconds drop_retry_wait = 100ms;

// Somebody else has moved the copy: another sidecar, or a worker that was thought dead.
struct CopyMoved : std::runtime_error {
  explicit CopyMoved(const std::string& name) : std::runtime_error("another worker has moved the copy " + name) {}
};

// What a slot says of itself.
struct SlotState {
  bool exists = false;
  bool lost = false;
  Lsn confirmed;
};

SlotState read_slot(Connection& connection, const std::string& slot) {
  const Result result = connection.exec(
      "SELECT confirmed_flush_lsn, coalesce(wal_status = 'lost', false) FROM pg_replication_slots WHERE slot_name = $1",
      Parameters().text(slot));
  if (result.rows() == 0) return {};
  return SlotState{true, result.boolean(0, 1), result.optional_lsn(0, 0).value_or(Lsn{})};
}

// The walsender that used the slot last may need a moment to go.
void drop_slot(Connection& connection, const std::string& slot, const Stop* stop) {
  for (int attempt = 1;; ++attempt) {
    try {
      connection.exec("SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE slot_name = $1",
                      Parameters().text(slot));
      return;
    } catch (const PgError& error) {
      if (error.sqlstate() != "55006" || stop == nullptr || attempt >= drop_attempts_max) throw;
      if (stop->wait(drop_retry_wait)) throw Interrupted();
    }
  }
}

ConnectOptions worker_options(const WorkerContext& context) {
  ConnectOptions options;
  options.conninfo = context.settings.conninfo;
  options.application_name = "anabranch worker";
  options.synchronous_commit = "off";
  options.settings = {{"lock_timeout", std::to_string(lock_wait_max.count())}};
  options.stop = &context.stop;
  return options;
}

SlotLogOptions log_options(const WorkerContext& context, const std::string& slot) {
  SlotLogOptions options;
  options.connect = worker_options(context);
  options.slot = slot;
  options.publication = context.settings.publication;
  options.skip_origins = replication_origins(context.settings);
  options.queue_bytes_max = context.settings.queue_bytes_max;
  options.value_bytes_max = context.settings.value_bytes_max;
  return options;
}

// A batch of one copy: its position moves, and nobody else's.
class CopyScope : public BatchScope {
 public:
  CopyScope(const CopyRow& copy, const SourceToken& token) : copy_(copy), token_(token) {}

  void open(Session& session) override {
    session.begin();
    if (session.begin_copy_batch(copy_.oid, token_) != position_) throw CopyMoved(copy_.name);
  }
  void send_close(Session& session, const BatchEnd& end) override {
    session.send_set_copy_position(copy_.oid, end.lsn);
  }

  void move_to(Lsn position) { position_ = position; }
  Lsn position() const { return *position_; }

 private:
  const CopyRow& copy_;
  const SourceToken& token_;
  std::optional<Lsn> position_;
};

class Creation {
 public:
  Creation(const WorkerContext& context, CopyRow copy)
      : context_(context),
        session_(worker_options(context)),
        copy_(std::move(copy)),
        slot_(fill_slot_name(context.settings.slot, copy_.id)),
        scope_(copy_, context.token) {}

  void run();

 private:
  bool read_copy();
  void prepare();
  void copy_main_slot();
  bool keeps(Lsn position);
  void start_fill();
  void start_log();
  void fill();
  bool fill_one_chunk();
  bool stream(milliseconds time);
  bool step();
  bool decide(const CopyFailure& failure);
  void catch_up_and_join();
  void record_idle();
  bool join();
  void set_aside(const SetAside& aside);
  void confirm();
  void report(bool now);

  const WorkerContext& context_;
  Session session_;
  CopyRow copy_;
  const std::string slot_;
  CopyScope scope_;
  std::optional<AckSet> ack_;
  std::optional<SlotLog> log_;
  std::optional<Batches> batches_;
  bool filling_ = false;
  bool over_ = false;  // set aside, or not ours any more
  Lsn level_;          // L of step 4; changes are counted by chunk until then
  std::size_t chunk_rows_ = chunk_rows_at_start;
  int64_t rows_ = 0, rows_total_ = 0;
  Clock::time_point started_ = Clock::now(), reported_ = started_, recorded_ = started_;
};

void Creation::run() {
  session_.prepare();
  session_.take_origin(context_.origin);
  if (!read_copy()) return;
  if (copy_.problem) return set_aside(SetAside{copy_.oid, "failed", copy_.lsn, "42501", copy_.problem, std::nullopt});
  prepare();
  start_log();
  if (filling_) fill();
  if (!over_) catch_up_and_join();
  log_->stop();
  drop_slot(session_.connection(), slot_, &context_.stop);
  failpoint("fill_slot_dropped");
}

// As it is recorded now; false when there is nothing to do.
bool Creation::read_copy() {
  for (CopyRow& row : session_.copies()) {
    if (row.oid != copy_.oid) continue;
    copy_ = std::move(row);
    return copy_.state == "waiting" || copy_.state == "filling" || copy_.state == "catching_up";
  }
  return false;
}

void Creation::prepare() {
  if (copy_.state == "catching_up" && copy_.lsn) {
    if (!keeps(*copy_.lsn)) {
      drop_slot(session_.connection(), slot_, &context_.stop);
      copy_main_slot();
    }
    if (keeps(*copy_.lsn)) {
      scope_.move_to(*copy_.lsn);
      log_info("bringing a copy level", {{"copy", copy_.name}, {"lsn", *copy_.lsn}});
      return;
    }
    log_warning("the log does not reach back to a copy any more, filling it anew",
                {{"copy", copy_.name}, {"lsn", *copy_.lsn}});
  }
  filling_ = true;
  if (copy_.state == "filling" && copy_.lsn && keeps(*copy_.lsn)) {
    scope_.move_to(*copy_.lsn);
    log_info("going on with the fill of a copy", {{"copy", copy_.name}, {"lsn", *copy_.lsn}});
    return;
  }
  drop_slot(session_.connection(), slot_, &context_.stop);
  copy_main_slot();
  start_fill();
}

bool Creation::keeps(Lsn position) {
  const SlotState slot = read_slot(session_.connection(), slot_);
  return slot.exists && !slot.lost && slot.confirmed <= position;
}

void Creation::copy_main_slot() {
  session_.connection().exec("SELECT pg_copy_logical_replication_slot($1::name, $2::name, false)",
                             Parameters().text(context_.settings.slot).text(slot_));
  failpoint("fill_slot_copied");
}

void Creation::start_fill() {
  // What the main applier has applied it had seen, so all of it is in any snapshot from now on.
  const Lsn start = std::max(read_slot(session_.connection(), slot_).confirmed, context_.desk.position());
  session_.begin();
  session_.begin_copy_batch(copy_.oid, context_.token);
  session_.fill_start(copy_.oid, slot_, start);
  failpoint("fill_start_before_commit");
  session_.commit();
  scope_.move_to(start);
  log_info("filling a copy", {{"copy", copy_.name}, {"lsn", start}, {"slot", slot_}});
  failpoint("fill_started");
}

void Creation::start_log() {
  const Lsn position = scope_.position();
  ack_.emplace(read_slot(session_.connection(), slot_).confirmed, position);
  log_.emplace(log_options(context_, slot_));
  WantedColumns wanted;
  for (const CopySource& source : copy_.sources) wanted[source.relation] = source.columns;
  log_->want(std::move(wanted));
  log_->start(position);
  BatchOptions options;
  // Eager: it has to overtake the main applier to be taken over.
  options.size.interval_min = options.size.interval_max = 0ms;
  options.size.rows_max = context_.settings.batch_rows_max;
  batches_.emplace(session_, *log_, scope_, options);
}

void Creation::fill() {
  const Result total = session_.connection().exec(
      "SELECT coalesce(sum(reltuples) FILTER (WHERE reltuples > 0), 0)::bigint FROM pg_class WHERE oid IN "
      "(SELECT p.relid FROM unnest($1::oid[]) AS source, pg_partition_tree(source) AS p WHERE p.isleaf) OR oid = ANY "
      "($1::oid[])",
      Parameters().text([&] {
        std::string oids = "{";
        for (const CopySource& source : copy_.sources)
          oids += (oids.size() > 1 ? "," : "") + std::to_string(source.relation);
        return oids + "}";
      }()));
  rows_total_ = total.integer(0, 0);
  while (!over_ && fill_one_chunk()) report(false);
  if (over_) return;
  level_ = session_.wal_status().inserted;
  report(true);
  failpoint("fill_complete");
}

// One chunk, then the stream for about as long. False when all has been read, or the copy was set aside.
bool Creation::fill_one_chunk() {
  const Clock::time_point begin = Clock::now();
  FilledChunk chunk;
  try {
    scope_.open(session_);
    chunk = session_.fill_chunk(copy_.oid, chunk_rows_);
    failpoint("fill_chunk_before_commit");
    session_.commit();
    failpoint("fill_chunk_committed");
  } catch (const PgError& error) {
    const Verdict kind = verdict(error);
    if (kind != Verdict::failed && kind != Verdict::stale) throw;
    session_.rollback();
    set_aside(SetAside{copy_.oid, kind == Verdict::stale ? "stale" : "failed", scope_.position(), error.sqlstate(),
                       error.message(), std::nullopt});
    return false;
  }
  rows_ += chunk.rows;
  if (chunk.done) return false;
  const auto took = std::max<Clock::duration>(Clock::now() - begin, 1ms);
  const double scale =
      std::clamp(std::chrono::duration<double>(chunk_time_target) / std::chrono::duration<double>(took), 0.5, 2.0);
  chunk_rows_ =
      std::clamp(static_cast<std::size_t>(static_cast<double>(chunk_rows_) * scale), chunk_rows_min, chunk_rows_max);
  stream(duration_cast<milliseconds>(took));
  return !over_;
}

// Applies what the log has for about `time`; returns early, with true, when it has nothing more.
bool Creation::stream(milliseconds time) {
  const Clock::time_point until = Clock::now() + time;
  do {
    if (!batches_->gather(0ms) && batches_->pending().empty()) return true;
    if (!step()) return false;
  } while (!over_ && Clock::now() < until);
  return false;
}

// One batch. False when it must wait for a transaction to become visible, or there was none.
bool Creation::step() {
  for (int attempt = 1;; ++attempt) {
    switch (
        batches_->step({copy_.plan(scope_.position(), scope_.position() < level_ || (filling_ && !level_.valid()))})) {
      case Batches::Outcome::nothing:
      case Batches::Outcome::hidden:
        return false;
      case Batches::Outcome::applied:
        scope_.move_to(batches_->end().lsn);
        confirm();
        if (!batches_->set_aside().empty()) {
          const SetAside& aside = batches_->set_aside().front();
          log_warning("a copy was set aside",
                      {{"copy", copy_.name}, {"state", aside.state}, {"reason", aside.reason.value_or("")}});
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
bool Creation::decide(const CopyFailure& failure) {
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
  const CopyPlan plan = copy_.plan(scope_.position(), filling_);
  if (batches_->repeatable()) {
    const std::optional<SetAside> aside = isolate(session_, scope_, plan, batches_->pieces());
    if (!aside) return true;
    log_warning("a copy was set aside", {{"copy", copy_.name},
                                         {"state", aside->state},
                                         {"sqlstate", failure.error.sqlstate()},
                                         {"error", failure.error.message()},
                                         {"lsn", aside->failed_lsn.value_or(Lsn{})}});
    over_ = true;
  } else {
    set_aside(SetAside{copy_.oid, "failed", scope_.position(), failure.error.sqlstate(), failure.error.message(),
                       std::nullopt});
  }
  return false;
}

void Creation::set_aside(const SetAside& aside) {
  session_.begin();
  session_.begin_copy_batch(copy_.oid, context_.token);
  session_.set_aside(aside);
  session_.commit();
  over_ = true;
  log_warning("a copy was set aside", {{"copy", copy_.name},
                                       {"state", aside.state},
                                       {"sqlstate", aside.sqlstate.value_or("")},
                                       {"error", aside.reason.value_or("")}});
}

void Creation::confirm() {
  ack_->group().recorded(scope_.position(), batches_->wal().inserted);
  ack_->group().flushed(batches_->wal().flushed);
  log_->acknowledge(ack_->confirmable());
}

void Creation::catch_up_and_join() {
  while (!over_) {
    if (context_.stop.requested()) throw Interrupted();
    if (batches_->gather(idle_wait)) {
      if (!step() && !over_ && batches_->hidden_xid() != 0 && context_.stop.wait(hidden_wait)) throw Interrupted();
    } else if (batches_->pending().empty()) {
      record_idle();
    }
    if (!over_ && scope_.position() >= std::max(level_, context_.desk.position()) && join()) return;
  }
}

// Nothing comes in; the position moves with the server's WAL.
void Creation::record_idle() {
  const Lsn read = log_->read_position();
  const bool wanted = scope_.position() < std::max(level_, context_.desk.position());
  if (read <= scope_.position() || (!wanted && Clock::now() < recorded_ + idle_record_interval)) return;
  batches_->record(read);
  scope_.move_to(read);
  recorded_ = Clock::now();
  confirm();
}

// Offers the copy to the main applier. True when the work is over.
bool Creation::join() {
  failpoint("fill_before_join");
  switch (context_.desk.ask({copy_.oid, scope_.position()}, context_.stop)) {
    case JoinDesk::Answer::accepted:
      failpoint("fill_joined");
      return true;
    case JoinDesk::Answer::behind:
      return false;
    case JoinDesk::Answer::busy:
      if (context_.stop.wait(join_retry_wait)) throw Interrupted();
      return false;
    case JoinDesk::Answer::refused:
      break;
  }
  over_ = true;
  return true;
}

void Creation::report(bool now) {
  if (!now && Clock::now() < reported_ + report_interval) return;
  reported_ = Clock::now();
  const double seconds = std::max(0.001, std::chrono::duration<double>(reported_ - started_).count());
  const auto rate = static_cast<int64_t>(static_cast<double>(rows_) / seconds);
  const int64_t left = std::max<int64_t>(0, rows_total_ - rows_);
  log_info(now ? "all rows of a copy's sources have been read" : "filling",
           {{"copy", copy_.name},
            {"rows", rows_},
            {"rows_total", std::max(rows_total_, rows_)},
            {"rows_per_second", rate},
            {"seconds_left", now || rate == 0 ? 0 : left / rate}});
}

}  // namespace

void create_copy(const WorkerContext& context, const CopyRow& copy) {
  Creation(context, copy).run();
}

std::string fill_slot_name(const std::string& slot, int64_t copy_id) {
  return slot + "_fill_" + std::to_string(copy_id);
}

void drop_fill_slot(Connection& connection, const std::string& slot) {
  drop_slot(connection, slot, nullptr);
}

void drop_orphan_slots(Connection& connection, const std::string& slot, const std::vector<CopyRow>& copies) {
  const std::string prefix = slot + "_fill_";
  const Result found = connection.exec(
      "SELECT slot_name FROM pg_replication_slots WHERE starts_with(slot_name, $1) AND NOT active AND database = "
      "current_database()",
      Parameters().text(prefix));
  for (std::size_t row = 0; row < found.rows(); ++row) {
    const std::string name(found.text(row, 0));
    if (name.find_first_not_of("0123456789", prefix.size()) != std::string::npos) continue;
    const bool needed = std::any_of(copies.begin(), copies.end(), [&](const CopyRow& copy) {
      return fill_slot_name(slot, copy.id) == name && (copy.state == "filling" || copy.state == "catching_up");
    });
    if (needed) continue;
    drop_slot(connection, name, nullptr);
    log_info("dropped a slot that no copy needs any more", {{"slot", name}});
  }
}

}  // namespace anabranch
