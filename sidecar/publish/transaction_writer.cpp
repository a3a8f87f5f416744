// Method: a Part names the offsets of its records, and Progress that of the last Part. To wait for the brokers once,
// not three times, all of them go out together under the offsets that they will have if nobody else writes there: those
// behind what this producer has committed last. Delivery reports say what the offsets are, and are compared before the
// commit. Where one differs nothing is committed, and the next producer, which expects nothing yet, asks first.
#include "sidecar/publish/transaction_writer.hpp"

#include <algorithm>
#include <array>
#include <charconv>

#include <fmt/format.h>

#include "sidecar/failpoint.hpp"
#include "sidecar/publish/oversize.hpp"

namespace anabranch {
namespace {

// What stands in the record of a Part, which may take half of what a record may be.
constexpr size_t span_bytes = 64;  // beside the topic's name and its relations
constexpr size_t relation_bytes = 8;
constexpr size_t unselected_bytes = 9;
// Bounds what a Kafka transaction of many small ones keeps in memory until its Parts are written.
constexpr size_t spans_max = 100'000;

// A failpoint's name may not be passed on a hot path; these stand at a record in the middle of a batch.
constexpr uint64_t halfway_record = 2;

}  // namespace

TransactionWriter::TransactionWriter(const PublisherSettings& settings, TransactionProducer& producer,
                                     PublishClock& clock, OpenTopic& transaction_topic, OpenTopic& progress_topic)
    : settings_(settings),
      producer_(producer),
      clock_(clock),
      transaction_topic_(transaction_topic),
      progress_topic_(progress_topic),
      bounds_(settings.batch),
      positions_written_(clock.now()) {
  parts_.topic = &transaction_topic_;
}

bool TransactionWriter::full() const {
  return bytes_ >= bounds_.bytes_max || records_ >= bounds_.records_max || spans_.size() >= spans_max;
}

bool TransactionWriter::part_full() const {
  if (!in_part_) return false;
  const PartDraft& draft = drafts_.back();
  return part_bytes_ >= settings_.part_bytes_max || draft.records >= settings_.part_records_max ||
         part_record_bytes_ + unselected_bytes * draft.unselected.size() >= settings_.record_bytes_max / 2;
}

void TransactionWriter::open() {
  if (open_) return;
  producer_.begin();
  failpoint("publish_begun");
  open_ = true;
  opened_at_ = clock_.now();
}

PartDraft& TransactionWriter::begin_part(PartDraft draft) {
  drafts_.push_back(std::move(draft));
  in_part_ = true;
  part_bytes_ = part_record_bytes_ = 0;
  return drafts_.back();
}

void TransactionWriter::end_part(bool ends_transaction) {
  PartDraft& draft = drafts_.back();
  draft.end = ends_transaction;
  for (SpanDraft* span : draft.spans)
    current_[static_cast<size_t>(span->topic->handle.number)][static_cast<size_t>(span->partition)] = nullptr;
  in_part_ = false;
}

void TransactionWriter::add_position(Lsn previous, Lsn position, bool gap) {
  // Positions in a row are one.
  if (!gap && open_ && !in_part_ && !drafts_.empty()) {
    PartDraft& last = drafts_.back();
    if (last.is_position() && !last.gap) {
      last.end_lsn = position;
      return;
    }
  }
  open();
  PartDraft& draft = drafts_.emplace_back();
  draft.end_lsn = position;
  draft.previous_end_lsn = previous;
  draft.gap = gap;
}

SpanDraft& TransactionWriter::span(const ChangeRecord& record) {
  const OpenTopic& topic = *record.topic;
  const auto number = static_cast<size_t>(topic.handle.number);
  if (number >= current_.size()) current_.resize(number + 1);
  auto& partitions = current_[number];
  if (partitions.empty()) partitions.resize(static_cast<size_t>(topic.partitions), nullptr);
  SpanDraft*& current = partitions[static_cast<size_t>(record.partition)];
  if (current == nullptr) {
    current = &spans_.emplace_back();
    current->topic = record.topic;
    current->partition = record.partition;
    part().spans.push_back(current);
    part_record_bytes_ += topic.name.size() + span_bytes;
  }
  if (record.table == nullptr) return *current;
  auto& relations = current->relations;
  const uint64_t fingerprint = record.table->fingerprint;
  if ((relations.empty() || relations.back() != fingerprint) &&
      std::find(relations.begin(), relations.end(), fingerprint) == relations.end()) {
    relations.push_back(fingerprint);
    part_record_bytes_ += relation_bytes;
  }
  return *current;
}

void TransactionWriter::send(const ChangeRecord& record) {
  PartDraft& draft = part();
  if (draft.first_number == 0) draft.first_number = record.number;
  draft.records = record.number - draft.first_number + 1;
  SpanDraft& target = span(record);

  std::array<char, 24> number{};
  const auto number_end = std::to_chars(number.data(), number.data() + number.size(), record.number).ptr;
  const char letter = operation_letter(record.operation);
  std::array<RecordHeader, 7> headers = {
      RecordHeader{"lsn", record.lsn_text},
      {"number", std::string_view(number.data(), static_cast<size_t>(number_end - number.data()))},
      {"xid", record.xid_text},
      {"op", std::string_view(&letter, 1)},
      {},
      {},
      {}};
  size_t header_count = 4;
  if (record.table != nullptr) {
    headers[header_count++] = {"generation", record.table->generation_text};
    headers[header_count++] = {"relation", record.table->fingerprint_text};
  }

  const std::string_view value = record.value;
  const size_t key_size = record.key ? record.key->size() : 0;
  const size_t slice_max =
      settings_.record_bytes_max - std::min(settings_.record_bytes_max / 2, record_bytes(key_size, 0));
  const size_t slices = std::max<size_t>(1, (value.size() + slice_max - 1) / slice_max);
  const bool whole = record_bytes(key_size, value.size()) <= settings_.record_bytes_max || slices == 1;
  for (size_t slice = 0; slice < (whole ? 1 : slices); ++slice) {
    const std::string_view bytes = whole ? value : value.substr(slice * slice_max, slice_max);
    const std::string fragment = whole ? std::string() : fmt::format("{}/{}", slice + 1, slices);
    if (!whole) headers[header_count] = {"fragment", fragment};
    target.crc.add(bytes);
    ++target.count;
    OutgoingRecord out;
    out.topic = record.topic->handle;
    out.partition = record.partition;
    out.key = record.key;
    out.value = bytes;
    out.headers = std::span(headers.data(), header_count + (whole ? 0 : 1));
    producer_.produce(out, &target.delivery);
    ++records_;
    bytes_ += bytes.size();
    part_bytes_ += bytes.size();
  }
  if (records_ == halfway_record) failpoint("publish_record_produced");
}

void TransactionWriter::send_beside(const OutgoingRecord& record) {
  producer_.produce(record, nullptr);
}

// Takes the records under way to stand where they will if nobody else writes there; false: that is not known of all.
bool TransactionWriter::expect_offsets() {
  for (SpanDraft& span : spans_) {
    int64_t& next = span.topic->expected_offsets[static_cast<size_t>(span.partition)];
    if (next < 0) {
      for (SpanDraft& other : spans_) other.first_offset = -1;
      return false;
    }
    span.first_offset = next;
    next += static_cast<int64_t>(span.count);
  }
  return true;
}

// Where the brokers have put the records of a span; throws where that is not what it was taken for.
void TransactionWriter::check_delivery(SpanDraft& span) const {
  const Delivery& delivery = span.delivery;
  if (delivery.first_offset < 0)
    throw ProducerError(ProducerError::Kind::passes,
                        fmt::format("the brokers have records of topic \"{}\" and do not say where", span.topic->name));
  const bool whole = delivery.count == span.count &&
                     static_cast<uint64_t>(delivery.last_offset - delivery.first_offset) + 1 == span.count;
  if (!whole)
    throw PublishStopped(
        "topic_shared",
        fmt::format(
            "partition {} of topic \"{}\" holds offsets {} to {} for {} records of ours: somebody else writes to "
            "it; our topics must be written by this program alone",
            span.partition, span.topic->name, delivery.first_offset, delivery.last_offset, span.count));
  if (span.first_offset >= 0 && span.first_offset != delivery.first_offset)
    throw ProducerError(
        ProducerError::Kind::passes,
        fmt::format("partition {} of topic \"{}\" goes on at offset {}, and not at {}: does somebody else write to it?",
                    span.partition, span.topic->name, delivery.first_offset, span.first_offset));
  span.first_offset = delivery.first_offset;
}

void TransactionWriter::flush() {
  producer_.flush();
  for (SpanDraft& span : spans_) check_delivery(span);
  if (parts_.count > 0) check_delivery(parts_);
  if (!delivered_) failpoint("publish_records_delivered");
  delivered_ = true;
}

void TransactionWriter::note_ends() {
  for (const SpanDraft& span : spans_) {
    auto& next = span.topic->next_offsets[static_cast<size_t>(span.partition)];
    next = std::max(next, span.first_offset + static_cast<int64_t>(span.count));
    if (span.topic->touched) continue;
    span.topic->touched = true;
    touched_.push_back(span.topic);
  }
}

std::optional<int64_t> TransactionWriter::write_parts() {
  if (!expect_offsets()) flush();
  note_ends();
  for (const PartDraft& draft : drafts_) {
    const std::string xid = std::to_string(draft.xid);
    const std::string value = write_part(draft);
    OutgoingRecord record;
    record.topic = transaction_topic_.handle;
    if (draft.part > 0) record.key = xid;
    record.value = value;
    producer_.produce(record, &parts_.delivery);
    ++parts_.count;
  }
  if (parts_.count == 0) return std::nullopt;
  parts_.first_offset = transaction_topic_.expected_offsets.front();
  if (parts_.first_offset < 0) flush();
  failpoint("publish_parts_written");
  return parts_.first_offset + static_cast<int64_t>(parts_.count) - 1;
}

void TransactionWriter::send_position(const TopicPosition& position) {
  const std::string key = settings_.source + "/" + position.topic;
  const std::string value = write_topic_position(position);
  OutgoingRecord record;
  record.topic = progress_topic_.handle;
  record.key = key;
  record.value = value;
  send_beside(record);
}

void TransactionWriter::write_topic_positions() {
  const auto now = clock_.now();
  const bool due = now - positions_written_ >= settings_.topic_position_interval;
  if (due) positions_written_ = now;
  for (OpenTopic* topic : touched_) {
    if (topic->recorded && !due) continue;
    send_position({topic->name, topic->next_offsets, topic->numbering});
    topic->recorded = true;
  }
  if (!due) return;
  for (OpenTopic* topic : touched_) topic->touched = false;
  touched_.clear();
}

void TransactionWriter::commit(const Progress& progress) {
  write_topic_positions();
  const std::string value = write_progress(progress);
  OutgoingRecord record;
  record.topic = progress_topic_.handle;
  record.key = settings_.source;
  record.value = value;
  send_beside(record);
  flush();
  failpoint("publish_progress_written");
  producer_.commit();
  failpoint("publish_committed");
  expect_next();
  open_ = delivered_ = false;
  bytes_ = 0;
  records_ = 0;
  spans_.clear();
  drafts_.clear();
}

// After a commit, which leaves a mark of its own behind the records of each partition.
void TransactionWriter::expect_next() {
  const auto expect = [](const SpanDraft& span) {
    span.topic->expected_offsets[static_cast<size_t>(span.partition)] = span.delivery.last_offset + 2;
  };
  for (const SpanDraft& span : spans_) expect(span);
  if (parts_.count > 0) expect(parts_);
  parts_ = {};
  parts_.topic = &transaction_topic_;
}

}  // namespace anabranch
