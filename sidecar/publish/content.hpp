// Rows that exist, brought into topics beside the stream of changes: initial content, and what republish asks for.
//
// Method (DBLog's, arXiv 2010.12597, with visibility in place of its order by log position), chunk by chunk in the
// order of a key:
//   1. A window is opened: from now on the keys of the table's rows that go into the topics are remembered.
//   2. A chunk is read on a connection of its own under a short snapshot S, and the insert position L of the WAL behind
//      it: every transaction visible in S ends at or before L. By rule V whatever was published before the window
//      opened is visible in S.
//   3. Between two units at a position P >= L the chunk takes its place: all that S shows is in the topics by then. A
//      row that was changed by a transaction that S does not show, and that is in the topics, is left out; unless all
//      its changes left large values unsent: then the row stands there as these changes made it.
//   4. The chunk's records, the Part that names them and the key to go on behind stand in one Kafka transaction.
// So at P what was read is what the table held after the transactions up to P, and no read record comes after a newer
// change of its key. Nothing waits for a chunk. A description of the table that differs from the one before begins it
// anew; a truncation or another key in the window has the chunk read again.
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "sidecar/log/change_log.hpp"
#include "sidecar/pg/snapshot.hpp"
#include "sidecar/publish/content_progress.hpp"

namespace anabranch {

class Batch;
class ContentWindow;
class PublishClock;

// Setting kafka.snapshot: which tables begin with content.
enum class ContentMode {
  never,
  initial,     // those that have had none
  when_needed  // also those of which something was lost (anabranch adopt)
};

// A table that is published (request 0), or one that republish asks for.
struct ContentTable {
  uint32_t relation = 0;
  std::string name;  // schema.name
  std::optional<int64_t> rows_expected;
  uint64_t request = 0;
  std::optional<std::string> condition;
  bool cancelled = false;
};

// The next rows of a table.
struct ChunkOrder {
  uint32_t relation = 0;
  std::optional<std::string> after;  // a key; nullopt: from the start
  std::optional<std::string> condition;
  int rows_max = 0, bytes_max = 0;
  bool only_waits = false;  // for transactions that wrote before the table was published; nothing is read
};

struct ContentChunk {
  std::vector<TransactionPiece> pieces;  // inserts
  Snapshot snapshot;                     // S
  Lsn lsn;                               // L
  int64_t read_time = 0;                 // microseconds since 2000-01-01 UTC
  uint64_t scanned = 0;                  // rows, with those that the condition left out
  std::optional<std::string> upper;      // the key to go on behind; nullopt: the table ends here
  std::string system_identifier;
  uint32_t timeline = 0;
  std::string failure;   // not empty: the rows cannot be read, and why
  bool bad_key = false;  // the key to go on behind is none any more
};

struct ContentReport {
  uint32_t relation = 0;
  uint64_t request = 0;
  std::string table, state, reason;
  uint64_t rows = 0, rows_read = 0;
  std::optional<int64_t> rows_expected;
  uint32_t restarts = 0;
  bool continues = false;  // not the first of this process
};

// The tables, beside the stream. work() and note() throw PgError.
class ContentSource {
 public:
  virtual ~ContentSource() = default;
  // What is published now, and what republish has asked for and is not through, in the order of requests.
  virtual std::vector<ContentTable> work() = 0;
  // For people.
  virtual void note(const ContentReport& report) = 0;
  // Begins to read; what was ordered before is dropped. Never waits.
  virtual void order(const ChunkOrder& order) = 0;
  // What was ordered, once it is there. Never waits.
  virtual std::optional<ContentChunk> take() = 0;
  // Forgets what was ordered.
  virtual void drop() noexcept = 0;
};

struct ContentSettings {
  std::string source = "home";
  ContentMode mode = ContentMode::never;
  std::map<std::string, ContentMode> tables;  // by schema.name, where it is another
  size_t window_bytes_max = 32 << 20;
  int chunk_rows_min = 1'000;  // to begin with; doubled from chunk to chunk
  int chunk_rows_max = 20'000, chunk_bytes_max = 4 << 20;
  std::chrono::milliseconds look_interval{1'000};
};

// For one run of a publisher, over all its producers. Not for two threads at a time.
class Content {
 public:
  Content(ContentSettings settings, ContentSource& source, PublishClock& clock);
  ~Content();

  // A new producer: goes on from what is recorded, on the server that is published.
  void start(const std::vector<ContentProgress>& recorded, const std::string& system_identifier, uint32_t timeline);

  // The producer is gone, with what was to be recorded.
  void stop() noexcept;

  // One bounded step, at any time: looks for work once in a while, orders, takes what has been read, and puts it into
  // the batch where that stands between two units behind the chunk's position. `batch` must be that of the last start.
  void step(Batch& batch);

  // A position that the batch has to reach first; invalid: none.
  Lsn awaited() const;
  // Whether something is being read: then steps should come often.
  bool busy() const;
  // After the batch was committed.
  void committed();

  // Of the batch: the table has left the publication for now. Its content is void.
  void unselected(Batch& batch, uint32_t relation);
  // Where rows of the table that is being read are remembered; nullptr: none is.
  ContentWindow* window() const;

 private:
  struct Job;

  ContentMode mode_of(const std::string& table) const;
  void look(Batch& batch);
  void choose(const std::vector<ContentTable>& tables);
  bool is_wanted(const ContentTable& table) const;
  const ContentProgress* under_way(const ContentTable& table) const;
  void begin(const ContentTable& table);
  void begin_anew();
  void order();
  void place(Batch& batch);
  void finish(Batch& batch, ContentProgress::State state, const std::string& reason);
  void record(Batch& batch, const ContentProgress& progress);
  void forget(Batch& batch, const ContentProgress& progress);
  ContentReport report_of(const ContentProgress& progress, const std::string& reason) const;
  void note(const ContentReport& report);

  const ContentSettings settings_;
  ContentSource& source_;
  PublishClock& clock_;
  using Key = std::pair<uint32_t, bool>;     // the table, and whether republish asked
  std::map<Key, ContentProgress> recorded_;  // with what the open batch records
  std::set<Key> noted_;                      // in this process
  std::vector<ContentReport> finished_;      // to be noted once it is committed
  std::string system_identifier_;
  uint32_t timeline_ = 0;
  std::unique_ptr<Job> job_;
  std::chrono::steady_clock::time_point looked_, noted_at_;
  bool has_looked_ = false;
  std::set<Key> failed_;  // in this process: not tried again
};

}  // namespace anabranch
