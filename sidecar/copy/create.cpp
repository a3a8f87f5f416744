// Method:
//   1. A slot of its own: the main slot is copied, so that what happens from now on is kept for this copy, at its pace.
//   2. wait_for_writers() waits for transactions that wrote to the sources before they were published; fill_start()
//      empties the copy. The position is the one the main applier has reached: all that ended before is visible to
//      every later snapshot.
//   3. By turns: fill_chunk() reads the next range of a source's key under a short snapshot S_c of its own, stored with
//      the chunk, and adds it to the copy; then the stream goes on for about as long as the chunk took. A change from
//      the stream counts when its row lies in a chunk that has been read and its transaction is not visible in that
//      chunk's S_c. A change to a row not read yet does not count: by rule V it is visible to the S_c of the chunk that
//      will hold it.
//   4. When the last chunk has been read, the level is the WAL's insert position: every transaction visible in any S_c
//      ends at or before it. Once the copy is there, changes count as they come.
//   5. When the copy is level with the main applier it is offered to it at the position recorded. The main applier
//      takes it between two batches if it is not further itself, shows its rows, and skips for it what it has already.
//   6. The slot is dropped.
// Where copies are fed from Kafka they are filled just the same, from a slot: the topics may not hold all that the
// tables do. One that fell behind reads the topics from its own position instead, and needs no slot; where they do not
// go back to it, it is filled anew. Everything that matters is recorded with the data: a worker that is cut off goes on
// in step 3 or 5. A copy that fell behind (paused, or its table was locked) goes through steps 1, 5 and 6 alone, if its
// slot still reaches back far enough.
#include "sidecar/copy/create.hpp"

#include <algorithm>
#include <chrono>

#include "sidecar/apply/failure.hpp"
#include "sidecar/copy/copy_stream.hpp"
#include "sidecar/copy/fill_slot.hpp"
#include "sidecar/failpoint.hpp"
#include "sidecar/logging.hpp"

namespace anabranch {
namespace {

using Clock = std::chrono::steady_clock;
using std::chrono::duration_cast;
using std::chrono::milliseconds;
using namespace std::chrono_literals;

constexpr milliseconds chunk_time_target = 250ms;
constexpr std::size_t chunk_rows_at_start = 5'000;
constexpr std::size_t chunk_rows_min = 500;
constexpr std::size_t chunk_rows_max = 500'000;
constexpr milliseconds report_interval = 5s;
constexpr milliseconds join_retry_wait = 200ms;

class Creation {
 public:
  Creation(const WorkerContext& context, CopyRow copy)
      : context_(context),
        session_(worker_options(context)),
        copy_(std::move(copy)),
        slot_(fill_slot_name(context.settings.slot, copy_.id)),
        stream_(context_, session_, copy_, slot_) {}

  void run();

 private:
  bool read_copy();
  bool from_topics();
  bool prepare();
  bool go_on_from(Lsn position);
  void renew_slot();
  void start_fill();
  void fill();
  bool fill_one_chunk();
  void rest(Clock::duration took);
  void catch_up_and_join();
  bool join();
  void report(bool now);

  const WorkerContext& context_;
  Session session_;
  CopyRow copy_;
  const std::string slot_;
  CopyStream stream_;
  std::size_t chunk_rows_ = chunk_rows_at_start;
  int64_t rows_ = 0, rows_total_ = 0;
  Clock::time_point started_ = Clock::now(), reported_ = started_;
};

void Creation::run() {
  session_.prepare();
  session_.take_origin(context_.origin);
  if (!read_copy()) return;
  // What is filled only to be compared has time.
  if (copy_.fill_duty < 1) session_.connection().exec("SELECT anabranch.give_way()");
  if (copy_.problem)
    return stream_.set_aside(SetAside{copy_.oid, "failed", copy_.lsn, "42501", copy_.problem, std::nullopt});
  if (!from_topics()) {
    const bool to_fill = prepare();
    stream_.start();
    if (to_fill) fill();
    if (!stream_.over()) catch_up_and_join();
  }
  stream_.stop();
  drop_fill_slot(session_.connection(), slot_, &context_.stop);
  failpoint("fill_slot_dropped");
}

// Catches up from the topics. False when it has to be done otherwise: nothing has been done then.
bool Creation::from_topics() {
  if (!context_.settings.kafka || copy_.state != "catching_up" || !copy_.lsn) return false;
  log_info("bringing a copy level from the topics", {{"copy", copy_.name}, {"lsn", *copy_.lsn}});
  stream_.move_to(*copy_.lsn);
  try {
    stream_.start(true);
    catch_up_and_join();
    return true;
  } catch (const LogError& error) {
    if (error.kind() != LogError::Kind::gap) throw;
    log_warning("the topics do not reach back to a copy any more, filling it anew",
                {{"copy", copy_.name}, {"lsn", stream_.position()}, {"error", error.what()}});
  }
  stream_.abandon();
  copy_.state = "waiting";
  return false;
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

// Makes slot and position ready. True when rows are to be read, false when the copy only fell behind.
bool Creation::prepare() {
  if (copy_.state == "catching_up" && copy_.lsn) {
    if (!slot_keeps(session_.connection(), slot_, *copy_.lsn)) renew_slot();
    if (go_on_from(*copy_.lsn)) {
      log_info("bringing a copy level", {{"copy", copy_.name}, {"lsn", *copy_.lsn}});
      return false;
    }
    log_warning("the log does not reach back to a copy any more, filling it anew",
                {{"copy", copy_.name}, {"lsn", *copy_.lsn}});
  }
  stream_.count_by_chunk();
  if (copy_.state == "filling" && copy_.lsn && go_on_from(*copy_.lsn)) {
    log_info("going on with the fill of a copy", {{"copy", copy_.name}, {"lsn", *copy_.lsn}});
    return true;
  }
  renew_slot();
  start_fill();
  return true;
}

bool Creation::go_on_from(Lsn position) {
  if (!slot_keeps(session_.connection(), slot_, position)) return false;
  stream_.move_to(position);
  return true;
}

void Creation::renew_slot() {
  drop_fill_slot(session_.connection(), slot_, &context_.stop);
  make_fill_slot(session_.connection(), context_.settings.slot, slot_);
  failpoint("fill_slot_copied");
}

void Creation::start_fill() {
  // What the main applier has applied it had seen, so all of it is in any snapshot from now on.
  const Lsn start = std::max(confirmed_of(session_.connection(), slot_), context_.desk.position());
  for (const CopySource& source : copy_.sources) session_.wait_for_writers(source.relation);
  session_.begin();
  session_.begin_copy_batch(copy_.oid, context_.token);
  session_.fill_start(copy_.oid, slot_, start);
  failpoint("fill_start_before_commit");
  session_.commit();
  stream_.move_to(start);
  log_info("filling a copy", {{"copy", copy_.name}, {"lsn", start}, {"slot", slot_}});
  failpoint("fill_started");
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
  while (!stream_.over() && fill_one_chunk()) report(false);
  if (stream_.over()) return;
  stream_.set_level(session_.wal_status().inserted);
  report(true);
  failpoint("fill_complete");
}

// One chunk, then the stream for about as long. False when all has been read, or the copy was set aside.
bool Creation::fill_one_chunk() {
  const Clock::time_point begin = Clock::now();
  FilledChunk chunk;
  try {
    stream_.open();
    chunk = session_.fill_chunk(copy_.oid, chunk_rows_);
    failpoint("fill_chunk_before_commit");
    session_.commit();
    failpoint("fill_chunk_committed");
  } catch (const PgError& error) {
    const Verdict kind = verdict(error);
    if (kind != Verdict::failed && kind != Verdict::stale) throw;
    session_.rollback();
    stream_.set_aside(SetAside{copy_.oid, kind == Verdict::stale ? "stale" : "failed", stream_.position(),
                               error.sqlstate(), error.message(), std::nullopt});
    return false;
  }
  rows_ += chunk.rows;
  if (chunk.done) return false;
  const auto took = std::max<Clock::duration>(Clock::now() - begin, 1ms);
  const double scale =
      std::clamp(std::chrono::duration<double>(chunk_time_target) / std::chrono::duration<double>(took), 0.5, 2.0);
  chunk_rows_ =
      std::clamp(static_cast<std::size_t>(static_cast<double>(chunk_rows_) * scale), chunk_rows_min, chunk_rows_max);
  stream_.run_for(duration_cast<milliseconds>(took));
  rest(took);
  return !stream_.over();
}

// What is filled only to be compared leaves the server time for others: the stream goes on meanwhile.
void Creation::rest(Clock::duration took) {
  const auto until = Clock::now() + std::chrono::duration_cast<Clock::duration>(took * (1 / copy_.fill_duty - 1));
  while (!stream_.over() && Clock::now() < until) {
    if (context_.stop.requested()) throw Interrupted();
    stream_.turn(stream_.position());
  }
}

void Creation::catch_up_and_join() {
  while (!stream_.over()) {
    if (context_.stop.requested()) throw Interrupted();
    stream_.turn(std::max(stream_.level(), context_.desk.position()));
    if (!stream_.over() && stream_.position() >= std::max(stream_.level(), context_.desk.position()) && join()) return;
  }
}

// Offers the copy to the main applier. True when the work is over.
bool Creation::join() {
  failpoint("fill_before_join");
  switch (context_.desk.ask({copy_.oid, stream_.position()}, context_.stop)) {
    case JoinDesk::Answer::accepted:
      failpoint("fill_joined");
      return true;
    case JoinDesk::Answer::behind:
      return false;
    case JoinDesk::Answer::busy:
      if (context_.stop.wait(join_retry_wait)) throw Interrupted();
      return false;
    case JoinDesk::Answer::refused:
      return true;
  }
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

}  // namespace anabranch
