// The source's transactions, change by change, as records of Kafka transactions: what goes out, under which number, and
// where P stands afterwards.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "sidecar/log/crc32c.hpp"
#include "sidecar/publish/publisher.hpp"
#include "sidecar/publish/keyed_changes.hpp"
#include "sidecar/publish/tables.hpp"
#include "sidecar/publish/transaction_writer.hpp"

namespace anabranch {

// What was committed, or would be.
struct BatchCounts {
  uint64_t records = 0, transactions = 0;
};

// Writes to one producer, from the P that it was started at; both are thrown away together after any failure. Throws
// ProducerError, PublishStopped, FormatError, PgError (parking).
class Batch {
 public:
  Batch(const PublisherSettings& settings, const TopicNames& names, const Publisher::Parts& parts,
        TransactionProducer& producer, const StoredProgress& stored, Progress start);

  // P as committed last.
  const Progress& committed() const { return committed_; }
  // Where the chain stands: the end of the last unit taken.
  Lsn position() const { return position_; }

  // Whether a unit that ends there is in the topics already.
  bool has(Lsn unit_end) const { return unit_end <= position_; }

  // Takes changes of `piece` from number `from` of its list on, until the batch is full; returns how many it has taken
  // of the list. The end of the unit is taken with its last change.
  size_t take(const TransactionPiece& piece, size_t from, uint64_t piece_serial);

  // Nothing of ours up to here.
  void take_position(Lsn position, bool gap = false);

  // Progress has this witness once P has come to `from`, where the source's WAL has it; until then the one it has.
  void carry_witness(std::string witness, Lsn from) { next_witness_ = {std::move(witness), from}; }

  // Of the Kafka transaction under way, from now on.
  void set_bounds(const BatchBounds& bounds) { writer_.set_bounds(bounds); }

  // --- Rows that exist (batch_content.cpp)

  // Tells what goes into the topics to this one; nullptr: to nobody. It must outlive the batch.
  void watch(Content* content) { content_ = content; }
  // No unit is under way, nor has parts in the topics.
  bool between_units() const { return !unit_ && !replay_; }
  // The table that a row was read from.
  PublishedTable& content_table(const Relation& relation);
  // Rows at position(), between two units: begin, take ..., end. `read_time`: microseconds since 2000-01-01 UTC.
  void begin_content(int64_t read_time);
  void take_content(PublishedTable& table, const PublishedChange& change, std::string_view key);
  // So many rows whose key could not be read: they are dead letters.
  void skip_content(PublishedTable& table, uint64_t rows, const Gap& gap);
  void end_content();
  // A record of the progress topic, in the Kafka transaction under way; nullopt: a tombstone.
  void write_content(const std::string& key, const std::optional<std::string>& value);

  // Something is waiting to be committed.
  bool open() const { return writer_.is_open(); }
  bool full() const { return writer_.full() || parked_bytes_ >= settings_.batch.bytes_max; }
  PublishClock::TimePoint opened_at() const { return writer_.opened_at(); }

  // Writes these lower bounds with the next commit, instead of those that are there (adopt).
  void write_topic_positions_of(const std::vector<TopicPosition>& positions);

  // Flushes, writes Parts and Progress, commits. After it committed() is P.
  BatchCounts commit();

 private:
  // The source transaction under way; over several Kafka transactions where it is large.
  struct Unit {
    PublishedUnit told;
    std::string origin, lsn_text, xid_text;
    uint32_t parts = 0;   // committed or drafted before the one under way
    uint64_t number = 0;  // the last one given
    Crc32c crc;           // over all values so far
    uint64_t skip = 0;    // numbers up to here are in the topics already
    uint32_t skip_crc = 0;
    bool content = false;  // rows that exist, no transaction
  };

  struct NextWitness {
    std::string witness;
    Lsn from;
  };

  void begin_unit(const TransactionPiece& piece);
  void end_unit();
  void enter_part();
  void end_part(bool ends_unit);

  void take_change(const Change& change);
  void take_row(PublishedTable& table, const KeyedChange& row);
  void take_truncate(const ChangeDetails& details);
  void take_message(const ChangeDetails& details);
  void take_rejected(const ChangeDetails& details);
  // Of the table, if rows of it are being read; else nullptr.
  ContentWindow* window_of(const PublishedTable& table) const;
  // Whether the record of the unit's last number goes out, or is in the topics already; checks what was replayed.
  bool counts(std::string_view value);
  void send(OpenTopic& topic, const PublishedTable* table, int32_t partition, std::optional<std::string_view> key,
            std::string_view value, RowOperation operation);
  void send_latest(PublishedTable& table, const PublishedChange& change, std::string_view key);
  void describe(PublishedTable& table);

  const PublisherSettings& settings_;
  Publisher::Parts parts_;
  PublishedTables tables_;
  OpenTopic& transaction_topic_;
  OpenTopic& relation_topic_;
  OpenTopic& progress_topic_;
  TransactionWriter writer_;

  Progress committed_;
  Lsn position_;
  uint64_t last_number_;  // given at that position
  std::optional<NextWitness> next_witness_;
  Content* content_ = nullptr;
  uint64_t content_rows_ = 0;
  bool replay_;  // the next unit has parts in the topics already
  std::optional<Unit> unit_;
  uint64_t piece_serial_ = 0;

  // Of the Kafka transaction under way.
  uint64_t transactions_ = 0;
  std::vector<ParkedValue> parked_;
  size_t parked_bytes_ = 0;  // of dead letters' contents

  // Reused from record to record.
  KeyedChanges keyed_changes_;
  std::string value_;
};

}  // namespace anabranch
