#include "sidecar/publish/content.hpp"

#include <algorithm>

#include <fmt/format.h>

#include "sidecar/failpoint.hpp"
#include "sidecar/logging.hpp"
#include "sidecar/publish/batch.hpp"
#include "sidecar/publish/content_window.hpp"
#include "sidecar/publish/keyed_changes.hpp"

namespace anabranch {
namespace {

using std::chrono::milliseconds;
using namespace std::chrono_literals;

constexpr milliseconds note_interval = 1s;
constexpr milliseconds other_server_wait = 1s;

const char* state_name(ContentProgress::State state) {
  switch (state) {
    case ContentProgress::State::running:
      return "running";
    case ContentProgress::State::done:
    case ContentProgress::State::stale:
      return "done";
    case ContentProgress::State::cancelled:
      return "cancelled";
    case ContentProgress::State::failed:
      return "failed";
  }
  return "failed";
}

// What the rows read so far and those to come must have in common.
uint64_t shape_of(const PublishedTable& table) {
  std::string text = fmt::format("{}", table.relation.generation);
  for (const Column& column : table.relation.columns)
    text += fmt::format("|{} {} {} {}", column.number, column.name, column.type_oid, column.in_primary_key);
  return stable_hash(fmt::format("{}|{}", text, table.key_shape)) | 1;
}

// The table, and whether republish asked. `Named` has both.
template <typename Named>
std::pair<uint32_t, bool> key_of(const Named& named) {
  return {named.relation, named.request != 0};
}

}  // namespace

struct Content::Job {
  ContentProgress progress;
  std::optional<std::string> condition;
  std::optional<int64_t> rows_expected;
  int rows_max = 0;
  bool waited = false;  // for writers that began before the table was published
  bool ordered = false;
  PublishClock::TimePoint not_before{};
  std::unique_ptr<ContentWindow> window;
  std::optional<ContentChunk> chunk;

  Key key() const { return key_of(progress); }
  void drop_chunk() {
    ordered = false;
    window.reset();
    chunk.reset();
  }
};

Content::Content(ContentSettings settings, ContentSource& source, PublishClock& clock)
    : settings_(std::move(settings)), source_(source), clock_(clock) {}

Content::~Content() = default;

void Content::start(const std::vector<ContentProgress>& recorded, const std::string& system_identifier,
                    uint32_t timeline) {
  stop();
  for (const ContentProgress& progress : recorded) recorded_[key_of(progress)] = progress;
  system_identifier_ = system_identifier;
  timeline_ = timeline;
}

void Content::stop() noexcept {
  source_.drop();
  job_.reset();
  recorded_.clear();
  // Whether they are through, what is recorded will say.
  for (const ContentReport& report : finished_) noted_.erase(key_of(report));
  finished_.clear();
  has_looked_ = false;
}

void Content::step(Batch& batch) {
  const auto now = clock_.now();
  if (!has_looked_ || now - looked_ >= settings_.look_interval) {
    has_looked_ = true;
    looked_ = now;
    look(batch);
  }
  if (!job_ || now < job_->not_before) return;
  if (!job_->ordered) order();
  if (!job_->chunk) job_->chunk = source_.take();
  if (!job_->chunk) return;
  const ContentChunk& chunk = *job_->chunk;
  if (chunk.bad_key) return begin_anew();
  if (!chunk.failure.empty()) {
    failed_.insert(job_->key());
    log_warning("the rows of a table cannot be published", {{"table", job_->progress.table}, {"error", chunk.failure}});
    return finish(batch, ContentProgress::State::failed, chunk.failure);
  }
  if (!job_->waited) {
    job_->waited = true;
    job_->drop_chunk();
    return order();
  }
  if (!batch.between_units() || batch.position() < chunk.lsn) return;
  place(batch);
}

Lsn Content::awaited() const {
  return job_ && job_->chunk && job_->waited && job_->chunk->failure.empty() ? job_->chunk->lsn : Lsn();
}
bool Content::busy() const {
  return job_ != nullptr;
}
ContentWindow* Content::window() const {
  return job_ ? job_->window.get() : nullptr;
}

ContentMode Content::mode_of(const std::string& table) const {
  const auto found = settings_.tables.find(table);
  return found == settings_.tables.end() ? settings_.mode : found->second;
}

// Whether the rows of a table are still to be read, or asked for.
bool Content::is_wanted(const ContentTable& table) const {
  const Key key = key_of(table);
  const auto found = recorded_.find(key);
  const ContentProgress* progress = found == recorded_.end() ? nullptr : &found->second;
  if (table.request != 0)
    return progress == nullptr || progress->request < table.request ||
           (progress->request == table.request && progress->state == ContentProgress::State::running);
  const ContentMode mode = mode_of(table.name);
  if (mode == ContentMode::never) return false;
  if (progress == nullptr) return true;
  switch (progress->state) {
    case ContentProgress::State::running:
      return true;
    case ContentProgress::State::failed:
      return !failed_.contains(key);
    case ContentProgress::State::stale:
      return mode == ContentMode::when_needed;
    case ContentProgress::State::done:
    case ContentProgress::State::cancelled:
      return false;
  }
  return false;
}

// How far the rows of a table have been read, where that has begun and is not through; otherwise nullptr.
const ContentProgress* Content::under_way(const ContentTable& table) const {
  const auto found = recorded_.find(key_of(table));
  if (found == recorded_.end()) return nullptr;
  const ContentProgress& progress = found->second;
  const bool is_running = progress.request == table.request && progress.state == ContentProgress::State::running;
  return is_running ? &progress : nullptr;
}

void Content::look(Batch& batch) {
  const std::vector<ContentTable> tables = source_.work();
  const auto find = [&](uint32_t relation, uint64_t request) {
    const auto found = std::find_if(tables.begin(), tables.end(), [&](const ContentTable& table) {
      return table.relation == relation && table.request == request;
    });
    return found == tables.end() ? nullptr : &*found;
  };
  // Published no more: if it comes back, changes in between are missing, and it begins with content again.
  for (auto at = recorded_.begin(); at != recorded_.end();) {
    const ContentProgress progress = at->second;
    ++at;
    if (progress.request == 0 && find(progress.relation, 0) == nullptr) forget(batch, progress);
  }
  if (job_) {
    const ContentTable* table = find(job_->progress.relation, job_->progress.request);
    if (table == nullptr) {
      source_.drop();
      job_.reset();
    } else if (table->cancelled) {
      finish(batch, ContentProgress::State::cancelled, "");
    }
  }
  // What was recorded before a crash, and not told.
  for (const ContentTable& table : tables) {
    const Key key = key_of(table);
    const auto found = recorded_.find(key);
    if (found == recorded_.end() || found->second.request != table.request || noted_.contains(key) ||
        found->second.state == ContentProgress::State::running || is_wanted(table))
      continue;
    note(report_of(found->second, ""));
  }
  if (!job_) choose(tables);
}

void Content::choose(const std::vector<ContentTable>& tables) {
  const ContentTable* chosen = nullptr;
  // What is under way comes first, then what somebody waits for.
  const auto rank = [&](const ContentTable& table) {
    return under_way(table) != nullptr ? 0 : table.request != 0 ? 1 : 2;
  };
  for (const ContentTable& table : tables)
    if (is_wanted(table) && !(table.cancelled && table.request == 0 && rank(table) != 0) &&
        (chosen == nullptr || rank(table) < rank(*chosen)))
      chosen = &table;
  if (chosen != nullptr) begin(*chosen);
}

void Content::begin(const ContentTable& table) {
  job_ = std::make_unique<Job>();
  ContentProgress& progress = job_->progress;
  const ContentProgress* recorded = under_way(table);
  if (recorded != nullptr) progress = *recorded;
  progress.relation = table.relation;
  progress.request = table.request;
  progress.table = table.name;
  job_->condition = table.condition;
  job_->rows_expected = table.rows_expected;
  job_->rows_max = std::min(settings_.chunk_rows_min, settings_.chunk_rows_max);
  job_->waited = progress.next_key.has_value();
  noted_.erase(job_->key());
  log_info(recorded != nullptr ? "going on to publish the rows of a table" : "publishing the rows of a table",
           {{"table", table.name}, {"request", static_cast<int64_t>(table.request)}});
  note(report_of(progress, job_->waited ? "" : "waiting for transactions that have written to the table"));
}

// The columns have changed: rows that were read lack what the new ones have.
void Content::begin_anew() {
  ContentProgress& progress = job_->progress;
  log_info("the columns of a table have changed, publishing its rows from the start", {{"table", progress.table}});
  progress.next_key.reset();
  progress.rows = progress.rows_read = progress.shape = 0;
  ++progress.restarts;
  job_->drop_chunk();
}

void Content::order() {
  ChunkOrder order;
  order.relation = job_->progress.relation;
  order.only_waits = !job_->waited;
  if (job_->waited) {
    job_->window = std::make_unique<ContentWindow>(order.relation, settings_.window_bytes_max);
    order.after = job_->progress.next_key;
    order.condition = job_->condition;
    order.rows_max = job_->rows_max;
    order.bytes_max = settings_.chunk_bytes_max;
  }
  job_->ordered = true;
  source_.order(order);
}

void Content::place(Batch& batch) {
  const ContentChunk& chunk = *job_->chunk;
  if (chunk.system_identifier != system_identifier_ || chunk.timeline != timeline_) {
    // A failover that the log has not met yet.
    job_->not_before = clock_.now() + other_server_wait;
    job_->drop_chunk();
    return;
  }
  struct Row {
    PublishedTable* table;
    const Change* change;
  };
  std::vector<Row> rows;
  uint64_t shape = 0, key_shape = 0;
  for (const TransactionPiece& piece : chunk.pieces)
    for (const Change& change : piece.changes) {
      PublishedTable& table = batch.content_table(*change.relation);
      rows.push_back({&table, &change});
      shape = shape_of(table);
      key_shape = table.key_shape;
    }
  ContentProgress& progress = job_->progress;
  if (shape != 0 && progress.shape != 0 && shape != progress.shape) return begin_anew();
  const ContentWindow& window = *job_->window;
  if (!window.can_judge(chunk.snapshot, key_shape)) {
    if (window.overflown()) job_->rows_max = std::max(1, job_->rows_max / 2);
    log_debug("a chunk has to be read again", {{"table", progress.table}, {"overflown", window.overflown()}});
    job_->drop_chunk();
    return;
  }
  batch.begin_content(chunk.read_time);
  std::string key, row;
  uint64_t skipped = 0;
  std::optional<Gap> reason;
  for (const Row& read : rows) {
    row = read.change->after;
    std::vector<Gap> gaps;
    if (read.change->details) gaps = read.change->details->after_gaps;
    if (const Gap* gap = gap_in_key(*read.table, &gaps)) {  // a row filter raises on it
      if (skipped++ == 0) reason = *gap;
      continue;
    }
    key.clear();
    read.table->format->key(row, key);
    if (window.judge(chunk.snapshot, key, row, gaps) == ContentWindow::Verdict::dropped) continue;
    PublishedChange change;
    change.operation = RowOperation::read;
    change.after = row;
    if (!gaps.empty()) change.after_gaps = &gaps;
    batch.take_content(*read.table, change, key);
    ++progress.rows;
  }
  if (reason) batch.skip_content(*rows.front().table, skipped, *reason);
  batch.end_content();
  progress.rows_read += chunk.scanned;
  if (shape != 0) progress.shape = shape;
  const bool ends = !chunk.upper;
  if (!ends) progress.next_key = chunk.upper;
  failpoint("content_placed");
  if (ends) return finish(batch, ContentProgress::State::done, "");
  record(batch, progress);
  job_->drop_chunk();
  job_->rows_max = std::min(settings_.chunk_rows_max, job_->rows_max * 2);
  order();
}

void Content::finish(Batch& batch, ContentProgress::State state, const std::string& reason) {
  job_->progress.state = state;
  record(batch, job_->progress);
  finished_.push_back(report_of(job_->progress, reason));
  source_.drop();
  job_.reset();
  has_looked_ = false;  // for what comes next
}

void Content::record(Batch& batch, const ContentProgress& progress) {
  recorded_[key_of(progress)] = progress;
  batch.write_content(content_key(settings_.source, progress), write_content_progress(progress));
}

void Content::forget(Batch& batch, const ContentProgress& progress) {
  recorded_.erase(key_of(progress));
  failed_.erase(key_of(progress));
  batch.write_content(content_key(settings_.source, progress), std::nullopt);
}

void Content::unselected(Batch& batch, uint32_t relation) {
  const auto found = recorded_.find({relation, false});
  if (found != recorded_.end()) forget(batch, ContentProgress(found->second));
  if (!job_ || job_->progress.relation != relation || job_->progress.request != 0) return;
  source_.drop();
  job_.reset();
}

void Content::committed() {
  for (const ContentReport& report : std::exchange(finished_, {})) {
    log_info("the rows of a table: through",
             {{"table", report.table}, {"state", report.state}, {"rows", static_cast<int64_t>(report.rows)}});
    note(report);
  }
  if (!job_ || clock_.now() - noted_at_ < note_interval) return;
  noted_at_ = clock_.now();
  note(report_of(job_->progress, ""));
}

ContentReport Content::report_of(const ContentProgress& progress, const std::string& reason) const {
  ContentReport report;
  report.relation = progress.relation;
  report.request = progress.request;
  report.table = progress.table;
  report.state = state_name(progress.state);
  report.reason = reason;
  report.rows = progress.rows;
  report.rows_read = progress.rows_read;
  if (job_) report.rows_expected = job_->rows_expected;
  report.restarts = progress.restarts;
  report.continues = noted_.contains(key_of(progress));
  return report;
}

void Content::note(const ContentReport& report) {
  source_.note(report);
  noted_.insert(key_of(report));
}

}  // namespace anabranch
