// The thread reads what was ordered last, and tries again for as long as the reason may pass: the server is away, or
// the table is locked. Anything else is the chunk's failure; once it is tried with every value printed on its own, so
// that one that cannot be printed is left out, as the decoder does.
#include "sidecar/publish/pg_content.hpp"

#include <algorithm>
#include <condition_variable>
#include <cstring>
#include <limits>
#include <mutex>
#include <thread>

#include <fmt/format.h>

#include "sidecar/apply/failure.hpp"
#include "sidecar/backoff.hpp"
#include "sidecar/failpoint.hpp"
#include "sidecar/log/transaction.hpp"
#include "sidecar/logging.hpp"
#include "sidecar/publish/bytea_text.hpp"
#include "sidecar/thread.hpp"

namespace anabranch {
namespace {

using std::chrono::milliseconds;
using namespace std::chrono_literals;

constexpr milliseconds retry_delay_min = 100ms;
constexpr milliseconds retry_delay_max = 5s;
constexpr const char* other_key = "AN010";

std::string bytes_of(std::string_view text) {
  if (!text.starts_with("\\x")) throw std::invalid_argument("a bytea that is not in hexadecimal");
  return bytes_of_bytea(text);
}

ContentChunk chunk_of(const Result& result, size_t value_bytes_max) {
  ContentChunk chunk;
  TransactionReader reader(Lsn(), value_bytes_max);
  const WantedColumns everything{{0, {}}};
  const size_t last = result.rows() - 1;
  for (size_t row = 0; row < last; ++row) {
    const auto frame = std::make_shared<std::string>(bytes_of(result.text(row, 0)));
    reader.read(*frame, frame, everything, chunk.pieces);
  }
  chunk.snapshot = Snapshot::parse(result.text(last, 1));
  chunk.lsn = result.lsn(last, 2);
  chunk.scanned = static_cast<uint64_t>(result.integer(last, 3));
  if (!result.null(last, 4)) chunk.upper = bytes_of(result.text(last, 4));
  chunk.system_identifier = result.text(last, 5);
  chunk.timeline = static_cast<uint32_t>(result.integer(last, 6));
  if (!chunk.pieces.empty()) chunk.read_time = chunk.pieces.front().commit_time;
  return chunk;
}

}  // namespace

struct PgContent::Reader {
  Reader(ConnectOptions given, std::string publication_name, size_t bytes_max, size_t published_max)
      : options(std::move(given)),
        publication(std::move(publication_name)),
        value_bytes_max(bytes_max),
        published_bytes_max(published_max) {
    options.application_name = "anabranch content";
    options.stop = &ending;
    // Nobody waits behind us for a lock that we wait for.
    options.settings.emplace_back("lock_timeout", "2s");
    thread = start_thread("content", [this] { run(); });
  }
  ~Reader() {
    ending.request();
    {
      const std::lock_guard lock(mutex);
      wanted.reset();
    }
    changed.notify_all();
    thread.join();
  }

  void run();
  std::optional<ContentChunk> read(const ChunkOrder& order, bool careful);
  bool is_current(uint64_t number) {
    const std::lock_guard lock(mutex);
    return number == serial && wanted;
  }

  ConnectOptions options;
  const std::string publication;
  const size_t value_bytes_max;
  const size_t published_bytes_max;
  Stop ending;
  std::mutex mutex;
  std::condition_variable changed;
  std::optional<ChunkOrder> wanted;
  std::optional<ContentChunk> result;
  uint64_t serial = 0;  // of the order
  std::thread thread;
  // The thread's own.
  std::optional<Connection> connection;
};

std::optional<ContentChunk> PgContent::Reader::read(const ChunkOrder& order, bool careful) {
  if (!connection || !connection->usable()) connection.emplace(options);
  if (order.only_waits) {
    // As long as it takes: those who write are not held up by it.
    connection->exec("SET lock_timeout = 0");
    connection->exec("SELECT anabranch.wait_for_writers($1::oid)", Parameters().integer(order.relation));
    connection->exec("SET lock_timeout = '2s'");
    return ContentChunk{};
  }
  Parameters parameters;
  parameters.integer(order.relation).text(publication);
  if (order.after)
    parameters.binary(*order.after);
  else
    parameters.null();
  parameters.integer(order.rows_max)
      .integer(order.bytes_max)
      .optional_text(order.condition)
      .boolean(careful)
      .integer(static_cast<int64_t>(std::min<size_t>(published_bytes_max, std::numeric_limits<int32_t>::max())));
  const Result result = connection->exec(
      "SELECT * FROM anabranch.read_content($1::oid, $2, $3::bytea, $4::int, $5::int, $6, $7::boolean, $8::int)",
      parameters);
  failpoint("content_read");
  return chunk_of(result, value_bytes_max);
}

void PgContent::Reader::run() {
  Backoff backoff(retry_delay_min, retry_delay_max);
  uint64_t done = 0;
  while (!ending.requested()) {
    ChunkOrder order;
    uint64_t number = 0;
    {
      std::unique_lock lock(mutex);
      changed.wait(lock, [&] { return ending.requested() || (wanted && serial != done); });
      if (ending.requested()) return;
      order = *wanted;
      number = serial;
    }
    std::optional<ContentChunk> chunk;
    bool careful = false;
    while (!chunk && is_current(number)) {
      try {
        chunk = read(order, careful);
        backoff.succeeded();
      } catch (const Interrupted&) {
        return;
      } catch (const PgError& error) {
        if (may_pass(verdict(error))) {
          log_debug("the rows of a table cannot be read yet", {{"error", error.what()}});
          if (!connection || !connection->usable()) connection.reset();
          if (ending.wait(backoff.next())) return;
          continue;
        }
        if (error.sqlstate() == other_key && order.after) {
          chunk.emplace().bad_key = true;
        } else if (careful || order.only_waits) {
          chunk.emplace().failure = in_words(error);
        }
        careful = true;
      } catch (const std::exception& error) {
        chunk.emplace().failure = error.what();
      }
    }
    done = number;
    if (!chunk) continue;
    const std::lock_guard lock(mutex);
    if (number == serial && wanted) result = std::move(chunk);
  }
}

PgContent::PgContent(Connection& connection, ConnectOptions options, std::string publication, size_t value_bytes_max,
                     size_t published_bytes_max)
    : connection_(connection),
      publication_(publication),
      reader_(std::make_unique<Reader>(std::move(options), publication, value_bytes_max, published_bytes_max)) {
  connection_.prepare("content_work", "SELECT * FROM anabranch.content_work($1)");
  connection_.prepare("note_content",
                      "SELECT anabranch.note_content($1::oid, $2::bigint, $3, $4, $5, $6::bigint, $7::bigint, "
                      "$8::bigint, $9::int, $10::boolean)");
}

PgContent::~PgContent() = default;

std::vector<ContentTable> PgContent::work() {
  const Result found = connection_.exec_prepared("content_work", Parameters().text(publication_));
  std::vector<ContentTable> tables;
  for (size_t row = 0; row < found.rows(); ++row) {
    ContentTable& table = tables.emplace_back();
    table.relation = static_cast<uint32_t>(found.integer(row, 0));
    table.name = found.text(row, 1);
    if (!found.null(row, 2)) table.rows_expected = found.integer(row, 2);
    table.request = static_cast<uint64_t>(found.integer(row, 3));
    table.condition = found.optional_text(row, 4);
    table.cancelled = found.boolean(row, 5);
  }
  return tables;
}

void PgContent::note(const ContentReport& report) {
  Parameters parameters;
  parameters.integer(report.relation)
      .integer(static_cast<int64_t>(report.request))
      .text(report.table)
      .text(report.state)
      .text(report.reason)
      .integer(static_cast<int64_t>(report.rows))
      .integer(static_cast<int64_t>(report.rows_read));
  if (report.rows_expected)
    parameters.integer(*report.rows_expected);
  else
    parameters.null();
  parameters.integer(report.restarts).boolean(report.continues);
  connection_.exec_prepared("note_content", parameters);
}

void PgContent::order(const ChunkOrder& order) {
  {
    const std::lock_guard lock(reader_->mutex);
    reader_->wanted = order;
    reader_->result.reset();
    ++reader_->serial;
  }
  reader_->changed.notify_all();
}

std::optional<ContentChunk> PgContent::take() {
  const std::lock_guard lock(reader_->mutex);
  return std::exchange(reader_->result, std::nullopt);
}

void PgContent::drop() noexcept {
  const std::lock_guard lock(reader_->mutex);
  reader_->wanted.reset();
  reader_->result.reset();
}

}  // namespace anabranch
