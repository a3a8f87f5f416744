#include "sidecar/publish/publisher.hpp"

#include <algorithm>

#include <fmt/format.h>

#include "sidecar/backoff.hpp"
#include "sidecar/failpoint.hpp"
#include "sidecar/logging.hpp"
#include "sidecar/pg/result.hpp"
#include "sidecar/publish/batch.hpp"
#include "sidecar/publish/settle_time.hpp"
#include "sidecar/publish/startup_facts.hpp"

namespace anabranch {
namespace {

using std::chrono::milliseconds;
using namespace std::chrono_literals;

constexpr milliseconds retry_delay_min = 100ms;
constexpr milliseconds retry_delay_max = 5s;
constexpr milliseconds slot_wait = 100ms;
constexpr milliseconds visible_wait_min = 1ms;
constexpr milliseconds visible_wait_max = 50ms;
constexpr milliseconds report_interval = 1s;
constexpr milliseconds content_wait = 2ms;  // for the log, while rows that exist are being read
// Without a commit for so long publishing counts as stuck, and wal_keep_limit holds in any case.
constexpr milliseconds stuck_time = 10s;
// A transaction that was committed longer ago than this shows that we are far behind.
constexpr int64_t behind_us = 1'000'000;

}  // namespace

struct Publisher::Impl {
  Impl(PublisherSettings given, Parts given_parts, std::string given_run_id)
      : settings(std::move(given)),
        parts(given_parts),
        run_id(std::move(given_run_id)),
        names(settings.prefix),
        last_commit(parts.clock.now()),
        reported_at(parts.clock.now() - report_interval),
        backoff(retry_delay_min, retry_delay_max) {
    if (parts.content != nullptr) {
      ContentSettings wanted;
      wanted.source = settings.source;
      wanted.mode = settings.content;
      wanted.tables = settings.content_of;
      wanted.chunk_rows_max = settings.content_chunk_rows_max;
      wanted.window_bytes_max = settings.content_window_bytes_max;
      content.emplace(wanted, *parts.content, parts.clock);
    }
    status.state = "starting";
  }

  void judge_before_init();
  void renew_witness();
  void recover();
  void stream();
  void commit();
  bool wait_until_visible(uint64_t xid, bool behind);
  void take_piece(bool behind);
  void drop_producer();
  void failed(const ProducerError& error);
  void report(bool now);
  void watch_wal();
  void while_waiting();

  const PublisherSettings settings;
  Parts parts;
  const std::string run_id;
  const TopicNames names;

  std::optional<Content> content;

  // Of one producer; thrown away together.
  std::unique_ptr<Batch> batch;
  std::unique_ptr<TransactionProducer> producer;  // after the batch: what is on its way points into it

  std::optional<TransactionPiece> piece;  // taken from the log, not wholly in the batch
  size_t taken = 0;                       // of its changes
  uint64_t piece_serial = 0;
  bool skipping = false;  // the unit of `piece` is in the topics already
  Snapshot snapshot;
  bool have_snapshot = false;
  milliseconds visible_wait = visible_wait_min;

  Lsn known;                   // P as this process has seen it last
  bool has_committed = false;  // this process: P is of its own run since
  PublishClock::TimePoint last_commit;
  Witnesses witnesses;                  // as the database has them; once this producer has fenced the others
  bool witness_awaited = false;         // the fresh one is yet to be recorded
  PublishClock::TimePoint witness_due;  // not to be renewed before
  SettleTime settle_time;
  PublishClock::TimePoint idle_recorded;
  PublisherReport status;
  PublishClock::TimePoint reported_at;
  std::string reported_state, reported_reason;
  bool was_within_limit = false;
  Backoff backoff;
};

void Publisher::Impl::report(bool now) {
  const auto time = parts.clock.now();
  const bool changed = status.state != reported_state || status.reason != reported_reason;
  if (!now && !changed && time - reported_at < report_interval) return;
  reported_at = time;
  reported_state = status.state;
  reported_reason = status.reason;
  // Before anything has been published there is nothing to remember.
  if (!known.valid() && status.state != "stopped") return;
  status.lsn = known;
  parts.source.report(status);
}

// wal_keep_limit: rather lose the stream than the source's disk. While we are catching up with what was kept before we
// came, that is what the limit would want.
void Publisher::Impl::watch_wal() {
  if (settings.wal_keep_limit_bytes <= 0) return;
  Lsn from = known;
  if (!from.valid()) {  // the brokers have not said yet: what the slot keeps
    const auto slot = parts.source.facts(0).slot;
    if (!slot) return;
    from = slot->confirmed;
  }
  const Lsn end = parts.source.wal_end();
  const auto kept = static_cast<int64_t>(end.value() - std::min(end, from).value());
  if (kept <= settings.wal_keep_limit_bytes) {
    was_within_limit = true;
    return;
  }
  if (!was_within_limit && parts.clock.now() - last_commit < stuck_time) return;
  parts.log.stop();
  parts.source.drop_slot();
  throw PublishStopped(
      "wal_keep_limit",
      fmt::format(
          "publishing stands at {}, {} bytes of WAL ago, more than wal_keep_limit ({} bytes) allows: slot \"{}\" was "
          "dropped to save the server's disk; once the brokers answer, run \"anabranch init\" for a new slot, read "
          "what consumers need anew from the tables, and run \"anabranch adopt\"",
          from.to_string(), kept, settings.wal_keep_limit_bytes, settings.slot));
}

void Publisher::Impl::while_waiting() {
  if (parts.clock.now() - reported_at < report_interval) return;
  report(true);
  watch_wal();
}

void Publisher::Impl::drop_producer() {
  producer.reset();  // first: what is on its way points into the batch
  batch.reset();
  if (content) content->stop();
  piece.reset();
  skipping = false;
}

// Only what is readable: a transaction that our predecessor left open would keep a reader waiting, and it is init()
// that ends it.
void Publisher::Impl::judge_before_init() {
  const std::optional<SourceSlot> slot_before = parts.source.facts(0).slot;
  StartupFacts facts;
  facts.slot = settings.slot;
  facts.instance = settings.instance;
  facts.known = known;
  const std::optional<Progress>& progress = facts.stored.progress;
  const auto decide = [&] {
    facts.stored = parts.progress.read(settings.source, ProgressStore::Reach::readable);
    facts.source = parts.source.facts(progress ? progress->timeline : 0);
    if (slot_before && facts.source.slot)
      facts.source.slot->confirmed = std::min(facts.source.slot->confirmed, slot_before->confirmed);
    return decide_before_init(facts);
  };
  StartupDecision decision = decide();
  // Each time somebody has renewed the witness meanwhile, who does so once a minute.
  while (!still_stands(decision, facts.stored, parts.progress, settings.source)) decision = decide();
  if (!decision.may_go_on()) throw PublishStopped(reason_name(decision.reason), decision.message);
  if (has_committed && progress && progress->run_id != run_id)
    throw PublishStopped("fenced", fmt::format("another process publishes this source now, up to {}, this one ends",
                                               progress->lsn.to_string()));
}

// In order: nobody else is taken for us, older producers are fenced and settled, and only then P is read.
void Publisher::Impl::recover() {
  // The broker may be away for long: until it answers the log goes on being read, so that the server has its answers.
  judge_before_init();
  failpoint("publish_before_init");
  producer = parts.producers.make();
  producer->init();
  failpoint("publish_fenced");

  StoredProgress stored = parts.progress.read(settings.source, ProgressStore::Reach::all);
  failpoint("publish_progress_read");
  StartupFacts facts = facts_of_topics(std::move(stored), parts.topics, names);
  facts.slot = settings.slot;
  facts.instance = settings.instance;
  facts.known = known;
  // Our own reader holds the slot, if anybody does.
  parts.log.stop();
  facts.source = parts.source.facts(facts.stored.progress ? facts.stored.progress->timeline : 0);
  StartupDecision decision = decide_startup(facts);
  while (decision.kind == StartupDecision::Kind::wait) {
    status.state = "waiting";
    status.reason = decision.message;
    report(false);
    parts.clock.sleep(slot_wait);
    facts.source = parts.source.facts(facts.stored.progress ? facts.stored.progress->timeline : 0);
    decision = decide_startup(facts);
  }
  if (!still_stands(decision, facts.stored, parts.progress, settings.source))
    throw PublishStopped("fenced", "another process publishes this source now, this one ends");
  if (!decision.may_go_on()) throw PublishStopped(reason_name(decision.reason), decision.message);

  Progress start;
  if (facts.stored.progress) start = *facts.stored.progress;
  start.lsn = decision.position;
  start.cluster_id = facts.cluster_id;
  start.run_id = run_id;
  start.system_identifier = facts.source.system_identifier;
  start.timeline = facts.source.timeline;
  start.slot = settings.slot;
  start.instance = settings.instance;
  start.version = ANABRANCH_VERSION;
  start.adopted_from.clear();
  status.cluster_id = facts.cluster_id;

  const bool first = decision.kind == StartupDecision::Kind::begin;
  if (first) start.lsn = Lsn();
  batch = std::make_unique<Batch>(settings, names, parts, *producer, facts.stored, start);
  if (first) {
    // The chain begins with where publishing begins.
    batch->take_position(decision.position);
    batch->commit();
    has_committed = true;
  }
  known = batch->committed().lsn;
  if (content) {
    content->start(facts.stored.content, start.system_identifier, start.timeline);
    batch->watch(&*content);
  }
  log_info("publishing", {{"lsn", known},
                          {"decision", reason_name(decision.reason)},
                          {"confirmed", facts.source.slot->confirmed},
                          {"prefix", settings.prefix},
                          {"cluster", facts.cluster_id}});
  witnesses = facts.source.witnesses;
  witness_awaited = false;
  witness_due = parts.clock.now();
  parts.log.want({{0, {}}});
  parts.log.start(known);
  last_commit = idle_recorded = parts.clock.now();
  have_snapshot = false;
  status.state = "publishing";
  status.reason.clear();
  report(true);
  backoff.succeeded();
  failpoint("publish_streaming");
}

// Rule V. True: go on with the unit. Near, a Kafka transaction takes what one snapshot shows: what has come since then
// would cost a query for every few rows, and hold up those that are there.
bool Publisher::Impl::wait_until_visible(uint64_t xid, bool behind) {
  if (xid == 0 || (have_snapshot && snapshot.visible(xid))) return true;
  if (!behind && batch->open()) {
    commit();
    return false;
  }
  snapshot = parts.source.snapshot();
  have_snapshot = true;
  if (snapshot.visible(xid)) {
    visible_wait = visible_wait_min;
    return true;
  }
  // What stands before it is visible: let it go first.
  if (batch->open()) {
    commit();
    return false;
  }
  parts.clock.sleep(visible_wait);
  visible_wait = std::min(visible_wait * 2, visible_wait_max);
  return false;
}

void Publisher::Impl::commit() {
  const BatchCounts counts = batch->commit();
  settle_time.begun(producer->begun_too_early());
  known = batch->committed().lsn;
  has_committed = true;
  last_commit = parts.clock.now();
  idle_recorded = last_commit;
  status.records += counts.records;
  status.transactions += counts.transactions;
  if (content) content->committed();
  failpoint("publish_before_acknowledge");
  parts.log.acknowledge(known);
  failpoint("publish_acknowledged");
}

void Publisher::Impl::take_piece(bool behind) {
  if (piece->first && taken == 0) {
    skipping = batch->has(piece->unit_end);
    if (!piece->unit_end.valid())
      throw PublishStopped(
          "refused",
          "the decoder does not say where a transaction ends: install the same version of the server's "
          "libraries and of this program");
    if (!skipping && !wait_until_visible(piece->xid, behind)) return;
  }
  if (!skipping) {
    taken += batch->take(*piece, taken, piece_serial) - taken;
    if (taken < piece->changes.size()) return;
  }
  piece.reset();
}

// Between two Kafka transactions: the database waits for its disk, once a minute. Where it does not take place the
// witness that is recorded goes on telling copies that are older than it.
void Publisher::Impl::renew_witness() {
  if (batch->open()) return;
  const auto now = parts.clock.now();
  if (witness_awaited) {
    if (batch->committed().witness != witnesses.fresh) return;
    witness_awaited = false;
    witness_due = now + settings.witness_interval;
  }
  if (now < witness_due) return;
  witness_due = now + settings.witness_interval;
  const std::string recorded = batch->committed().witness;
  try {
    const auto renewed = parts.source.renew_witness(recorded, witnesses.fresh);
    if (!renewed) {
      // Perhaps it has replaced us. What it found is for it to renew, and for us once we have fenced it.
      log_warning("another process has renewed the witness, it stays as it is until publishing starts anew",
                  {{"source", settings.source}});
      return;
    }
    witnesses = {recorded, *renewed};
    // Its commit is behind us: P has it once it has come to where the WAL ends now.
    batch->carry_witness(*renewed, parts.source.wal_end());
    witness_awaited = true;
    failpoint("publish_witness_renewed");
  } catch (const PgError& error) {
    log_warning("the witness could not be renewed, trying again later",
                {{"error", error.what()}, {"retry_ms", settings.witness_interval}});
  }
}

void Publisher::Impl::stream() {
  renew_witness();
  if (content) {
    content->step(*batch);
    if (batch->open() && batch->full()) return commit();
  }
  if (!piece) {
    auto wait = batch->open() ? 0ms : std::min(settings.idle_interval, report_interval) / 4;
    if (content && content->busy()) wait = std::min<milliseconds>(wait, content_wait);
    piece = parts.log.next(wait);
    taken = 0;
    ++piece_serial;
  }
  if (piece) {
    const bool behind = piece->commit_time != 0 && parts.clock.postgres_time_us() - piece->commit_time > behind_us;
    const BatchBounds& bounds = behind ? settings.batch_behind : settings.batch;
    batch->set_bounds(bounds);
    if (!behind && !batch->open()) {
      const auto left = std::chrono::ceil<milliseconds>(last_commit + settle_time.value() - parts.clock.now());
      if (left > 0ms) parts.clock.sleep(left);
    }
    take_piece(behind);
    if (!batch->open()) return;
    if (batch->full() || parts.clock.now() - batch->opened_at() >= bounds.interval_max) commit();
    return;
  }
  if (batch->open()) return commit();
  // Idle: P still moves with the server's WAL, or the slot would keep all of it.
  const Lsn read = parts.log.read_position();
  if (content && batch->position() < content->awaited() && content->awaited() <= read && batch->between_units()) {
    batch->take_position(read);
    content->step(*batch);
    return commit();
  }
  if (read <= batch->position() || parts.clock.now() - idle_recorded < settings.idle_interval) return;
  if (batch->committed().within_transaction()) return;
  batch->take_position(read);
  commit();
}

void Publisher::Impl::failed(const ProducerError& error) {
  switch (error.kind()) {
    case ProducerError::Kind::fenced:
      throw PublishStopped("fenced",
                           fmt::format("another process publishes this source now, this one ends: {}", error.what()));
    case ProducerError::Kind::refused:
      throw PublishStopped("refused", error.what());
    case ProducerError::Kind::too_large:
      throw PublishStopped("too_large", error.what());
    case ProducerError::Kind::passes:
      break;
  }
  const milliseconds delay = backoff.next();
  log_warning("Kafka failed us, going on with a new producer from what is recorded",
              {{"error", error.what()}, {"lsn", known}, {"retry_ms", delay}});
  status.state = "waiting";
  status.reason = error.what();
  drop_producer();
  report(false);
  watch_wal();
  parts.clock.sleep(delay);
}

Publisher::Publisher(PublisherSettings settings, Parts parts, std::string run_id)
    : impl_(std::make_unique<Impl>(std::move(settings), parts, std::move(run_id))) {}

Publisher::~Publisher() = default;

void Publisher::step() {
  try {
    if (!impl_->batch) {
      impl_->drop_producer();
      impl_->recover();
    } else {
      impl_->stream();
      impl_->while_waiting();
    }
  } catch (const ProducerError& error) {
    impl_->failed(error);
  } catch (const FormatError& error) {
    throw PublishStopped("format", error.what());
  }
}

void Publisher::finish(const std::string& reason) noexcept {
  try {
    if (impl_->producer && impl_->batch && impl_->batch->open()) impl_->producer->abort();
    impl_->drop_producer();
    impl_->parts.log.stop();
    impl_->status.state = "stopped";
    impl_->status.reason = reason;
    impl_->report(true);
  } catch (const std::exception& error) {
    log_debug("the end could not be reported", {{"error", error.what()}});
  }
}

Lsn Publisher::position() const {
  return impl_->known;
}
bool Publisher::streaming() const {
  return impl_->batch != nullptr;
}
void Publisher::while_waiting() {
  impl_->while_waiting();
}

}  // namespace anabranch
