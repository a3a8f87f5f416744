// Kafka transactions as one producer writes them, one after the other: records of changes, counted by partition; then
// the Parts that tell of them, what topics end at, and Progress last.
#pragma once

#include <cstdint>
#include <deque>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "sidecar/publish/part_draft.hpp"
#include "sidecar/publish/publisher.hpp"
#include "sidecar/publish/tables.hpp"

namespace anabranch {

// One record of a change, in one partition. Views need to live during the call alone.
struct ChangeRecord {
  OpenTopic* topic = nullptr;
  const PublishedTable* table = nullptr;  // nullptr: of a message
  int32_t partition = 0;
  std::optional<std::string_view> key;
  std::string_view value;
  RowOperation operation = RowOperation::insert;
  uint64_t number = 0;  // within the source transaction
  std::string_view lsn_text, xid_text;
};

// Of no more use after any exception, and neither is its producer, which must be gone before it. Throws ProducerError,
// PublishStopped.
class TransactionWriter {
 public:
  TransactionWriter(const PublisherSettings& settings, TransactionProducer& producer, PublishClock& clock,
                    OpenTopic& transaction_topic, OpenTopic& progress_topic);

  // Begins a Kafka transaction unless one is open.
  void open();
  bool is_open() const { return open_; }
  PublishClock::TimePoint opened_at() const { return opened_at_; }
  // Of the Kafka transaction under way, from now on.
  void set_bounds(const BatchBounds& bounds) { bounds_ = bounds; }
  // A bound is reached: it should be committed.
  bool full() const;
  // In the open transaction.
  uint64_t records() const { return records_; }

  // The part under way, which send() counts to.
  bool in_part() const { return in_part_; }
  // A bound is reached: it should be ended.
  bool part_full() const;
  PartDraft& part() { return drafts_.back(); }
  PartDraft& begin_part(PartDraft draft);
  void end_part(bool ends_transaction);
  // A part that says: nothing of ours between `previous` and `position`; `gap`: what was there is not in the topics.
  void add_position(Lsn previous, Lsn position, bool gap);

  // In slices where it is larger than a record may be.
  void send(const ChangeRecord& record);
  // What no part counts; committed with them.
  void send_beside(const OutgoingRecord& record);
  void send_position(const TopicPosition& position);

  // Writes the Parts. The offset of the last one, which commit() makes sure of; nullopt: there was none.
  std::optional<int64_t> write_parts();
  // After write_parts(). Returned: all of it is committed. Thrown: all of it is, or nothing.
  void commit(const Progress& progress);

 private:
  SpanDraft& span(const ChangeRecord& record);
  bool expect_offsets();
  void expect_next();
  void check_delivery(SpanDraft& span) const;
  void flush();
  void note_ends();
  void write_topic_positions();

  const PublisherSettings& settings_;
  TransactionProducer& producer_;
  PublishClock& clock_;
  OpenTopic& transaction_topic_;
  OpenTopic& progress_topic_;

  bool open_ = false;
  bool delivered_ = false;  // something of the transaction under way
  PublishClock::TimePoint opened_at_;
  BatchBounds bounds_;
  size_t bytes_ = 0;  // of values
  uint64_t records_ = 0;
  std::deque<SpanDraft> spans_;
  std::deque<PartDraft> drafts_;
  bool in_part_ = false;                          // the last of drafts_ is under way
  size_t part_bytes_ = 0;                         // of its values
  size_t part_record_bytes_ = 0;                  // of the record that tells of it, unselected relations apart
  std::vector<std::vector<SpanDraft*>> current_;  // of that part, by topic handle and partition
  SpanDraft parts_;                               // of the Parts themselves
  std::vector<OpenTopic*> touched_;               // since their positions were written last
  PublishClock::TimePoint positions_written_;
};

}  // namespace anabranch
