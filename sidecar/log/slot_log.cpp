// How a slot is read:
//   1. start() compares before it streams, since the server moves a position that is too old forward without a word:
//      the slot is one of our decoder, in this database, not lost, and has not let go of anything after the recorded
//      position; the server is the one expected, and its WAL reaches as far as what is recorded.
//   2. A thread reads frames into pieces and queues them. While the queue is full it does not read, so the server
//      waits; but it goes on sending status messages, or the server would take it for dead.
//   3. A keepalive's position is queued behind the pieces that came before it, and not taken within a transaction:
//      whoever reaches it has seen everything up to it.
//   4. Only what acknowledge() was given is reported as flushed.
#include "sidecar/log/slot_log.hpp"

#include <algorithm>
#include <atomic>

#include <fmt/format.h>

#include "sidecar/log/log_reader.hpp"
#include "sidecar/log/transaction.hpp"
#include "sidecar/logging.hpp"
#include "sidecar/pg/connect_parameters.hpp"

namespace anabranch {
namespace {

using Clock = std::chrono::steady_clock;
using std::chrono::milliseconds;

constexpr const char* plugin_name = "anabranch_decoder";

// How long the server may take to answer the end of the stream.
constexpr milliseconds finish_wait_max{1'000};

// A list of identifiers as the plugin's options take it.
std::string identifier_list(const std::vector<std::string>& names) {
  std::string list;
  for (const std::string& name : names) list += (list.empty() ? "" : ",") + Connection::quote_identifier(name);
  return list;
}

[[noreturn]] void fail(LogError::Kind kind, const std::string& message) {
  throw LogError(kind, message);
}

// Step 1, the slot's half.
void check_slot(ReplicationStream& stream, const std::string& slot, const std::string& database, Lsn from) {
  const Result row =
      stream.exec(fmt::format("SELECT plugin, database, confirmed_flush_lsn, wal_status FROM "
                              "pg_catalog.pg_replication_slots WHERE slot_name = {}",
                              connect_parameters::quote_literal(slot)));
  if (row.rows() == 0)
    fail(LogError::Kind::slot_missing,
         fmt::format("replication slot \"{}\" does not exist; what was written since {} has to be read anew from the "
                     "tables: run \"anabranch init\" for a new slot, then rebuild the copies",
                     slot, from.to_string()));
  if (row.text(0, 0) != plugin_name)
    fail(LogError::Kind::slot_missing,
         fmt::format("replication slot \"{}\" is one of plugin \"{}\", not of \"{}\"; name "
                     "another slot in the configuration, or drop this one",
                     slot, row.text(0, 0), plugin_name));
  if (row.text(0, 1) != database)
    fail(LogError::Kind::slot_missing,
         fmt::format("replication slot \"{}\" belongs to database \"{}\", not to \"{}\"; connect to that one", slot,
                     row.text(0, 1), database));
  if (row.text(0, 3) == "lost")
    fail(
        LogError::Kind::slot_lost,
        fmt::format("the server has removed WAL that replication slot \"{}\" needs (max_slot_wal_keep_size): what was "
                    "written since {} has to be read anew from the tables; drop the slot, run \"anabranch init\", then "
                    "rebuild the copies",
                    slot, from.to_string()));
  const auto confirmed = row.optional_lsn(0, 2);
  if (confirmed && *confirmed > from)
    fail(LogError::Kind::gap,
         fmt::format(
             "replication slot \"{}\" has been confirmed up to {}, but only {} is recorded here: what lies between "
             "is gone; somebody else has read the slot, or the database was restored; rebuild the copies",
             slot, confirmed->to_string(), from.to_string()));
}

// Step 1, the server's half.
void check_system(const SystemIdentity& identity, const std::string& expected, Lsn from) {
  if (!expected.empty() && identity.system_identifier != expected)
    fail(
        LogError::Kind::other_system,
        fmt::format("the server's system identifier is {}, recorded is {}: this is another cluster or a restored copy; "
                    "connect to the right server",
                    identity.system_identifier, expected));
  if (identity.flushed < from)
    fail(LogError::Kind::other_system,
         fmt::format(
             "the server's WAL ends at {}, before the recorded position {}: it was restored from an older copy or is "
             "another server; rebuild the copies if it is meant to be this one",
             identity.flushed.to_string(), from.to_string()));
}

}  // namespace

struct SlotLog::Impl {
  explicit Impl(SlotLogOptions given) : options(std::move(given)), reader(options.queue_bytes_max) {}

  void run(Lsn from, const Stop& ending);
  void take(const StreamMessage& message, TransactionReader& transactions);

  const SlotLogOptions options;
  SystemIdentity identity;
  std::unique_ptr<ReplicationStream> stream;  // the reader's, while it runs
  std::atomic<uint64_t> acknowledged{0};
  std::atomic<uint64_t> received{0};
  std::vector<TransactionPiece> pieces;
  LogReader reader;  // last: its thread uses the others
};

void SlotLog::Impl::take(const StreamMessage& message, TransactionReader& transactions) {
  if (message.kind == StreamMessage::Kind::keepalive) {
    if (!transactions.in_transaction()) reader.queue.push_position(message.end);
    return;
  }
  transactions.read(message.data, message.storage, *reader.wanted(), pieces);
  for (const TransactionPiece& piece : pieces)
    if (piece.end_lsn) received = piece.end_lsn->value();
  reader.queue.push(pieces);
}

void SlotLog::Impl::run(Lsn from, const Stop& ending) {
  TransactionReader transactions(from, options.value_bytes_max);
  auto status_due = Clock::now();
  bool reply_due = false;
  while (!ending.requested()) {
    if (reply_due || Clock::now() >= status_due) {
      stream->send_status(Lsn(received), Lsn(acknowledged));
      status_due = Clock::now() + options.status_interval;
      reply_due = false;
    }
    const auto left = std::max(std::chrono::ceil<milliseconds>(status_due - Clock::now()), milliseconds(0));
    if (!reader.queue.wait_for_room(left)) continue;
    const auto message = stream->read(left, ending.descriptor());
    if (!message) continue;
    reply_due = message->reply_requested;
    take(*message, transactions);
  }
  stream->send_status(Lsn(received), Lsn(acknowledged));
  stream->finish(finish_wait_max);
}

SlotLog::SlotLog(SlotLogOptions options) : impl_(std::make_unique<Impl>(std::move(options))) {}

SlotLog::~SlotLog() {
  stop();
}

void SlotLog::start(Lsn from) {
  stop();
  const Stop& ending = impl_->reader.prepare(from);
  impl_->pieces.clear();
  impl_->acknowledged = 0;  // that `from` could be read does not mean it was flushed
  impl_->received = from.value();
  impl_->stream = std::make_unique<ReplicationStream>(impl_->options.connect);
  impl_->identity = impl_->stream->identify_system();
  check_system(impl_->identity, impl_->options.system_identifier, from);
  check_slot(*impl_->stream, impl_->options.slot, impl_->identity.database, from);
  std::vector<std::pair<std::string, std::string>> plugin_options = {
      {"proto_version", std::to_string(record_format)},
      {"publication_names", Connection::quote_identifier(impl_->options.publication)},
      {"messages", impl_->options.messages ? "true" : "false"}};
  if (!impl_->options.skip_origins.empty())
    plugin_options.emplace_back("skip_origins", identifier_list(impl_->options.skip_origins));
  impl_->stream->start(impl_->options.slot, from, plugin_options);
  log_debug("reading the slot",
            {{"slot", impl_->options.slot}, {"from", from}, {"server_flushed", impl_->identity.flushed}});

  impl_->reader.begin("slot-reader", [this, from, &ending] { impl_->run(from, ending); });
}

void SlotLog::stop() noexcept {
  impl_->reader.end();
  impl_->stream.reset();
}

std::optional<TransactionPiece> SlotLog::next(milliseconds wait) {
  return impl_->reader.queue.pop(wait);
}

Lsn SlotLog::read_position() const {
  return impl_->reader.queue.position();
}

void SlotLog::acknowledge(Lsn flushed) {
  uint64_t before = impl_->acknowledged;
  while (before < flushed.value() && !impl_->acknowledged.compare_exchange_weak(before, flushed.value())) {
  }
}

void SlotLog::want(WantedColumns columns) {
  impl_->reader.want(std::move(columns));
}

const SystemIdentity& SlotLog::identity() const {
  return impl_->identity;
}
size_t SlotLog::queued_bytes() const {
  return impl_->reader.queue.bytes();
}
Lsn SlotLog::received() const {
  return Lsn(impl_->received);
}

}  // namespace anabranch
