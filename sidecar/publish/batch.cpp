// Method:
//   1. A change becomes one record, or two (its key has changed), or one in every partition (truncate). Each gets the
//      next number of its transaction; numbers that are in the topics already only go into the checksum, and where they
//      end it must be the one recorded.
//   2. Records go to the producer at once; transaction_writer.hpp counts them by part and partition. A part ends with
//      the change that fills it, with its transaction, and with the Kafka transaction.
//   3. commit(): all are delivered and have their offsets; Parts; what topics end at; Progress last.
#include "sidecar/publish/batch.hpp"

#include <algorithm>
#include <array>
#include <utility>

#include <fmt/format.h>

#include "sidecar/failpoint.hpp"
#include "sidecar/log/dead_letter.hpp"
#include "sidecar/publish/content_window.hpp"
#include "sidecar/publish/message_address.hpp"
#include "sidecar/publish/oversize.hpp"
#include "sidecar/publish/partitioner.hpp"

namespace anabranch {
namespace {

constexpr std::string_view own_message_prefix = "anabranch";

}  // namespace

Batch::Batch(const PublisherSettings& settings, const TopicNames& names, const Publisher::Parts& parts,
             TransactionProducer& producer, const StoredProgress& stored, Progress start)
    : settings_(settings),
      parts_(parts),
      tables_(names, settings, parts.topics, producer, parts.format, start.system_identifier, stored.topics),
      transaction_topic_(tables_.own_topic(names.transaction(), TopicKind::single)),
      relation_topic_(tables_.own_topic(names.relation(), TopicKind::compacted)),
      progress_topic_(tables_.own_topic(names.progress(), TopicKind::compacted)),
      writer_(settings, producer, parts.clock, transaction_topic_, progress_topic_),
      committed_(std::move(start)),
      position_(committed_.lsn),
      last_number_(committed_.last_number),
      replay_(committed_.within_transaction()) {}

// --- Units and parts ------------------------------------------------------------------------------------------------

void Batch::begin_unit(const TransactionPiece& piece) {
  unit_ = Unit{};  // not emplace(): clang 14 takes a nested type for one that has no default constructor there
  Unit& unit = *unit_;
  unit.origin = piece.origin;
  unit.told = {piece.xid, piece.commit_time, piece.commit_lsn, piece.unit_end, unit.origin};
  unit.lsn_text = piece.unit_end.to_string();
  unit.xid_text = std::to_string(piece.xid);
  // Only of the first unit after a start parts are there that this Batch has not written itself.
  if (!std::exchange(replay_, false)) return;
  if (piece.unit_end != committed_.part_end_lsn)
    throw PublishStopped(
        "replay_differs",
        fmt::format(
            "{} parts of the transaction that ends at {} are in the topics, and the log goes on with one that ends "
            "at {}: what is decoded now is not what was decoded then (was the publication changed?)",
            committed_.parts, committed_.part_end_lsn.to_string(), piece.unit_end.to_string()));
  unit.parts = committed_.parts;
  unit.skip = committed_.records;
  unit.skip_crc = committed_.crc;
}

size_t Batch::take(const TransactionPiece& piece, size_t from, uint64_t piece_serial) {
  if (piece.first && from == 0) begin_unit(piece);
  piece_serial_ = piece_serial;
  size_t at = from;
  for (; at < piece.changes.size(); ++at) {
    if (full()) return at;
    take_change(piece.changes[at]);
    if (writer_.part_full()) end_part(false);
  }
  if (piece.last()) end_unit();
  return at;
}

void Batch::end_unit() {
  if (unit_->number < unit_->skip)
    throw PublishStopped(
        "replay_differs",
        fmt::format("{} records of the transaction that ends at {} are in the topics, and the log holds "
                    "only {} of it: what is decoded now is not what was decoded then",
                    unit_->skip, unit_->told.end_lsn.to_string(), unit_->number));
  // A message of our own, outside of a transaction, only says that the log has come this far.
  const bool is_position = unit_->told.xid == 0 && !writer_.in_part() && unit_->parts == 0;
  if (is_position) {
    const Lsn end = unit_->told.end_lsn;
    unit_.reset();
    take_position(end);
    return;
  }
  enter_part();
  end_part(true);
  ++transactions_;
  position_ = unit_->told.end_lsn;
  last_number_ = unit_->number;
  unit_.reset();
}

void Batch::take_position(Lsn position, bool gap) {
  writer_.add_position(position_, position, gap);
  // Who adopts may stay where he is: (lsn, number) is given once.
  if (position != position_) last_number_ = 0;
  position_ = position;
}

void Batch::enter_part() {
  if (writer_.in_part()) return;
  writer_.open();
  const Unit& unit = *unit_;
  PartDraft draft;
  draft.end_lsn = unit.told.end_lsn;
  draft.previous_end_lsn = position_;
  draft.commit_lsn = unit.told.commit_lsn;
  draft.xid = unit.told.xid;
  draft.commit_time = unit.told.commit_time;
  draft.origin = unit.origin;
  draft.content = unit.content;
  draft.begin = unit.parts == 0 && !unit.content;
  draft.part = unit.content ? 0 : unit.parts + 1;
  writer_.begin_part(std::move(draft));
}

void Batch::end_part(bool ends_unit) {
  writer_.end_part(ends_unit);
  ++unit_->parts;
}

// --- Changes --------------------------------------------------------------------------------------------------------

void Batch::take_change(const Change& change) {
  switch (change.kind) {
    case Change::Kind::insert:
    case Change::Kind::update:
    case Change::Kind::remove: {
      PublishedTable& table = tables_.find(*change.relation, piece_serial_);
      for (const KeyedChange& row : keyed_changes_.of(change, table)) take_row(table, row);
      return;
    }
    case Change::Kind::truncate:
      return take_truncate(*change.details);
    case Change::Kind::message:
      return take_message(*change.details);
    case Change::Kind::unselected:
      if (unit_->number < unit_->skip) return;
      enter_part();
      writer_.part().unselected.push_back(stable_hash(change.relation->description));
      if (content_ != nullptr) content_->unselected(*this, change.relation->oid);
  }
}

void Batch::take_row(PublishedTable& table, const KeyedChange& row) {
  PublishedChange change = row.change;
  change.number = ++unit_->number;
  if (ContentWindow* window = row.keyless == nullptr ? window_of(table) : nullptr)
    window->touch(unit_->told.xid, change, row.key, table.key_shape);
  value_.clear();
  table.format->value(unit_->told, change, value_);
  std::optional<FittedChange> fitted;
  if (record_bytes(row.key.size(), value_.size()) > settings_.record_bytes_max && !settings_.oversize_fragment) {
    fitted.emplace(table, unit_->told, change, row.key, settings_.record_bytes_max, value_);
    change = fitted->change();
  }
  if (!counts(value_)) return;
  if (row.keyless != nullptr)
    parked_.push_back({unit_->told.end_lsn, change.number, table.topic->name, table.relation.qualified_name(), "key",
                       fmt::format("{} ({})", row.keyless->reason, row.keyless->sqlstate), "", 0, std::nullopt});
  if (fitted) {
    for (const ParkedColumn& omitted : fitted->omitted()) {
      const Column* column = table.relation.column(omitted.number);
      parked_.push_back({unit_->told.end_lsn, change.number, table.topic->name, table.relation.qualified_name(),
                         column != nullptr ? column->name : std::to_string(omitted.number), omitted.reason,
                         std::string(row.key), omitted.bytes, std::nullopt});
    }
  }
  describe(table);
  const bool has_key = !table.key_columns.empty() && row.keyless == nullptr;
  send(*table.topic, &table, row.keyless == nullptr ? partition_of(row.key, table.topic->partitions) : 0,
       has_key ? std::optional<std::string_view>(row.key) : std::nullopt, value_, change.operation);
  if (table.latest != nullptr && row.keyless == nullptr) send_latest(table, change, row.key);
}

ContentWindow* Batch::window_of(const PublishedTable& table) const {
  if (content_ == nullptr || unit_->content) return nullptr;
  ContentWindow* window = content_->window();
  return window != nullptr && window->relation() == table.relation.oid ? window : nullptr;
}

bool Batch::counts(std::string_view value) {
  Unit& unit = *unit_;
  unit.crc.add(value);
  if (unit.number > unit.skip) return true;
  if (unit.number == unit.skip && unit.crc.value() != unit.skip_crc)
    throw PublishStopped(
        "replay_differs",
        fmt::format(
            "{} records of the transaction that ends at {} are in the topics, and now they are different ones "
            "(checksum {:08x} instead of {:08x}): were the publication or kafka.format changed meanwhile? Set them "
            "back until this transaction is through",
            unit.skip, unit.told.end_lsn.to_string(), unit.crc.value(), unit.skip_crc));
  return false;
}

void Batch::take_truncate(const ChangeDetails& details) {
  Unit& unit = *unit_;
  ++unit.number;
  bool first = true;
  for (const Truncated& truncated : details.truncated) {
    PublishedTable& table = tables_.find(*truncated.relation, piece_serial_);
    if (ContentWindow* window = window_of(table)) window->touch_all(unit.told.xid);
    PublishedChange change;
    change.operation = RowOperation::truncate;
    change.number = unit.number;
    change.leaf = truncated.leaf;
    change.cascade = details.cascade;
    change.restart_identity = details.restart_identity;
    value_.clear();
    table.format->value(unit.told, change, value_);
    // Several tables are one number: the checksum is asked once, for the first.
    const bool goes_out = first ? counts(value_) : unit.number > unit.skip;
    first = false;
    if (!goes_out) continue;
    if (table.latest != nullptr) table.format->latest(change, value_);  // refuses it
    describe(table);
    for (int32_t partition = 0; partition < table.topic->partitions; ++partition)
      send(*table.topic, &table, partition, std::nullopt, value_, RowOperation::truncate);
  }
}

void Batch::take_message(const ChangeDetails& details) {
  if (details.prefix == own_message_prefix) return;
  if (details.rejected > 0) take_rejected(details);
  const auto address = message_address(details.prefix, settings_.message_prefixes);
  if (!address) return;
  ++unit_->number;
  if (!counts(details.content)) return;
  OpenTopic& topic = tables_.message_topic(std::string(address->prefix));
  const size_t limit = settings_.record_bytes_max;
  const uint64_t bytes = details.omitted_bytes > 0 ? details.omitted_bytes : details.content.size();
  // Any role can emit a message: neither key nor content may stop the publishing of everything. Half a record is what
  // slices of a value leave to a key.
  const size_t key_bytes = address->key ? address->key->size() : 0;
  const bool key_fits = details.prefix_bytes == 0 && record_bytes(key_bytes, 0) <= limit / 2;
  if (key_fits && details.omitted_bytes == 0 &&
      (record_bytes(key_bytes, bytes) <= limit || settings_.oversize_fragment))
    return send(topic, nullptr, 0, address->key, details.content, RowOperation::message);
  const std::string reason =
      details.prefix_bytes > 0
          ? fmt::format("a prefix of {} bytes is longer than the decoder sends", details.prefix_bytes)
      : !key_fits                 ? fmt::format("a key of {} bytes is larger than half of a record may be", key_bytes)
      : details.omitted_bytes > 0 ? fmt::format("a message of {} bytes is larger than the decoder sends", bytes)
                                  : oversize_reason("message", bytes, limit);
  parked_.push_back({unit_->told.end_lsn, unit_->number, topic.name, "", "content", reason,
                     std::string(key_fits ? address->key.value_or("") : ""), bytes, std::nullopt});
  send(topic, nullptr, 0, key_fits ? address->key : std::nullopt, {}, RowOperation::message);
}

// A message that is no row of the stream that it names. It may be published, too, as any other message.
void Batch::take_rejected(const ChangeDetails& details) {
  DeadLetter letter = dead_letter_of(details, unit_->told.end_lsn);
  writer_.open();
  parked_bytes_ += sizeof(ParkedValue) + letter.content.size() + letter.reason.size() + letter.key.size();
  parked_.push_back({letter.lsn, letter.number, "", std::move(letter.stream), "message", std::move(letter.reason),
                     std::move(letter.key), letter.bytes, std::move(letter.content)});
}

// --- Records --------------------------------------------------------------------------------------------------------

void Batch::send(OpenTopic& topic, const PublishedTable* table, int32_t partition, std::optional<std::string_view> key,
                 std::string_view value, RowOperation operation) {
  enter_part();
  writer_.send({&topic, table, partition, key, value, operation, unit_->number, unit_->lsn_text, unit_->xid_text});
}

// Beside the log: no number, no span, but in the same Kafka transaction, so that it is there with the change or not at
// all.
void Batch::send_latest(PublishedTable& table, const PublishedChange& change, std::string_view key) {
  value_.clear();
  const bool is_row = table.format->latest(change, value_);
  const std::string number = std::to_string(change.number);
  const std::array<RecordHeader, 3> headers = {
      RecordHeader{"lsn", unit_->lsn_text}, {"number", number}, {"relation", table.fingerprint_text}};
  OutgoingRecord record;
  record.topic = table.latest->handle;
  record.partition = partition_of(key, table.latest->partitions);
  record.key = key;
  if (is_row) record.value = value_;
  record.headers = headers;
  writer_.send_beside(record);
}

void Batch::describe(PublishedTable& table) {
  if (table.described) return;
  writer_.open();
  std::array<char, 8> key{};
  for (size_t i = 0; i < key.size(); ++i) key[i] = static_cast<char>(table.fingerprint >> (56 - 8 * i));
  OutgoingRecord record;
  record.topic = relation_topic_.handle;
  record.key = std::string_view(key.data(), key.size());
  record.value = table.relation.description;
  writer_.send_beside(record);
  table.described = true;
}

void Batch::write_topic_positions_of(const std::vector<TopicPosition>& positions) {
  writer_.open();
  for (const TopicPosition& position : positions) writer_.send_position(position);
}

BatchCounts Batch::commit() {
  if (unit_ && writer_.in_part()) end_part(false);
  failpoint("publish_records_produced");
  const std::optional<int64_t> last_offset = writer_.write_parts();
  if (!parked_.empty()) parts_.source.park(parked_);

  Progress progress = committed_;
  if (position_ != progress.lsn) {
    progress.lsn = position_;
    progress.part_end_lsn = Lsn();
    progress.parts = 0;
    progress.records = 0;
    progress.crc = 0;
  }
  // While a unit that is in the topics in part is replayed, what is recorded of it stands.
  if (unit_ && unit_->parts > 0 && unit_->number >= unit_->skip) {
    progress.part_end_lsn = unit_->told.end_lsn;
    progress.parts = unit_->parts;
    progress.records = unit_->number;
    progress.crc = unit_->crc.value();
  }
  progress.last_number = last_number_;
  if (next_witness_ && progress.lsn >= next_witness_->from) {
    progress.witness = std::move(next_witness_->witness);
    next_witness_.reset();
  }
  if (last_offset) progress.transaction_offset = *last_offset;
  const BatchCounts counts{writer_.records(), transactions_};
  writer_.commit(progress);
  committed_ = progress;
  transactions_ = 0;
  parked_.clear();
  parked_bytes_ = 0;
  return counts;
}

}  // namespace anabranch
