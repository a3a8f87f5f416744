// Topics in memory, and a publisher that writes to them what sidecar/topic/topic.proto says, with the classes that
// protoc makes: the reader's tests share no line with the reader.
#pragma once

#include <algorithm>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "decoder/record.pb.h"
#include "sidecar/log/crc32c.hpp"
#include "sidecar/log/topic_reader.hpp"
#include "sidecar/topic/topic.pb.h"

namespace anabranch::test {

struct StoredRecord {
  int64_t offset = 0;
  std::string key, value;
  bool has_value = true;
  std::string lsn, number, xid, op, relation, fragment;
};

struct StoredPartition {
  std::vector<StoredRecord> records;
  int64_t first = 0, end = 0;  // offsets that the partition holds; control records take some, too

  StoredRecord& add(StoredRecord record) {
    record.offset = end++;
    return records.emplace_back(std::move(record));
  }
  // What retention does.
  void remove_before(int64_t offset) {
    first = std::max(first, offset);
    std::erase_if(records, [&](const StoredRecord& record) { return record.offset < first; });
  }
};

class ModelTopics : public TopicReader {
 public:
  using Place = std::pair<std::string, int32_t>;

  explicit ModelTopics(uint32_t seed = 1) : random_(seed) {}

  StoredPartition& partition(const std::string& topic, int32_t number = 0) { return partitions[{topic, number}]; }

  std::optional<Bounds> bounds(const std::string& topic, int32_t number) override {
    const auto found = partitions.find({topic, number});
    if (found == partitions.end()) return std::nullopt;
    return Bounds{found->second.first, found->second.end};
  }

  TopicRead read(const std::string& topic, int32_t number, int64_t first, int64_t last,
                 std::chrono::milliseconds) override {
    const auto found = partitions.find({topic, number});
    if (found == partitions.end()) throw LogError(LogError::Kind::gap, "topic " + topic + " is gone");
    const StoredPartition& partition = found->second;
    if (first < partition.first || first > partition.end)
      throw LogError(LogError::Kind::gap, fmt::format("topic {} holds offsets {} to {}, not {}", topic, partition.first,
                                                      partition.end, first));
    ++reads[{topic, number}];
    TopicRead result;
    result.next = first;
    auto at = std::lower_bound(partition.records.begin(), partition.records.end(), first,
                               [](const StoredRecord& record, int64_t offset) { return record.offset < offset; });
    // A copy of its own for each read, so that a sanitizer sees a view that outlives it.
    const auto storage = std::make_shared<std::vector<StoredRecord>>();
    for (uint64_t room = random_() % 5 + (reads[{topic, number}] % 2); room > 0; --room) {
      if (at == partition.records.end() || at->offset > last) break;
      storage->push_back(*at++);
      result.next = storage->back().offset + 1;
    }
    if (at == partition.records.end() || at->offset > last) {
      result.next =
          std::max(result.next, std::min(last + 1, at == partition.records.end() ? partition.end : at->offset));
      result.at_end = at == partition.records.end();
    }
    for (const StoredRecord& stored : *storage) {
      TopicRecord& record = result.records.emplace_back();
      record.offset = stored.offset;
      record.key = stored.key;
      record.value = stored.value;
      record.has_value = stored.has_value;
    }
    result.storage = storage;
    // Gone before keys and values are.
    const auto headers = std::make_shared<std::vector<StoredRecord>>(*storage);
    for (size_t i = 0; i < headers->size(); ++i) {
      const StoredRecord& stored = (*headers)[i];
      result.records[i].headers = {stored.lsn, stored.number,   stored.xid,     stored.op,
                                   "0",        stored.relation, stored.fragment};
    }
    result.headers = headers;
    return result;
  }

  void release(const std::string& topic, int32_t number) override { ++released[{topic, number}]; }

  std::map<Place, StoredPartition> partitions;
  std::map<Place, int> reads, released;

 private:
  std::mt19937 random_;
};

// A change as a test asks for it. Rows are any bytes here: the reader hands them through.
struct ModelChange {
  topic::v1::Row row;
  uint32_t relation = 0;                                 // oid
  std::vector<std::pair<uint32_t, uint32_t>> truncated;  // relation and leaf, of a truncate
  int32_t partition = 0;
};

inline ModelChange insert(uint32_t relation, int32_t partition, const std::string& after) {
  ModelChange change;
  change.relation = relation;
  change.partition = partition;
  change.row.set_operation(topic::v1::Row::INSERT);
  change.row.set_after(after);
  return change;
}

class ModelPublisher {
 public:
  static constexpr int32_t partitions = 3;
  size_t slice_bytes = 0;  // larger values go out in slices of so many bytes; 0: none

  explicit ModelPublisher(ModelTopics& topics) : topics_(topics) {
    topics_.partition("p.transaction");
    topics_.partition("p.relation");
  }

  // Describes a table "public.t<oid>" and its topic; again: a new description, with a fingerprint of its own.
  void relation(uint32_t oid, uint32_t columns = 2, const std::string& schema = "public", std::string name = "") {
    v1::Relation relation;
    relation.set_oid(oid);
    relation.set_schema(schema);
    relation.set_name(name.empty() ? "t" + std::to_string(oid) : name);
    for (uint32_t number = 1; number <= columns; ++number) {
      v1::Column& column = *relation.add_columns();
      column.set_number(number);
      column.set_name("c" + std::to_string(number));
    }
    const uint64_t fingerprint = uint64_t{oid} << 32 | columns;
    fingerprints_[oid] = fingerprint;
    relation_topics_[oid] = "p." + relation.schema() + "." + relation.name();
    StoredRecord record;
    for (int shift = 56; shift >= 0; shift -= 8) record.key += static_cast<char>(fingerprint >> shift);
    record.value = relation.SerializeAsString();
    topics_.partition("p.relation").add(record);
    for (int32_t number = 0; number < partitions; ++number) topics_.partition(relation_topics_[oid], number);
  }
  uint64_t fingerprint(uint32_t oid) const { return fingerprints_.at(oid); }
  const std::string& topic(uint32_t oid) const { return relation_topics_.at(oid); }

  // One transaction, in parts of at most `records_per_part`; with `empty_parts` one without records after each.
  void transaction(uint64_t xid, uint64_t end_lsn, const std::vector<ModelChange>& changes,
                   size_t records_per_part = 1'000'000, const std::vector<uint32_t>& unselected = {},
                   bool empty_parts = false) {
    size_t at = 0;
    uint32_t number = 0;
    do {
      const size_t end = std::min(changes.size(), at + records_per_part);
      topic::v1::Part part;
      part.set_format(1);
      part.set_end_lsn(end_lsn);
      part.set_previous_end_lsn(previous_);
      part.set_commit_lsn(end_lsn - 8);
      part.set_xid(xid);
      part.set_commit_time(1'000'000 * static_cast<int64_t>(xid));
      part.set_begin(at == 0);
      part.set_end(end == changes.size() && !empty_parts);
      part.set_part(++number);
      part.set_records(end - at);
      part.set_first_number(at + 1);
      write_records(part, changes, at, end);
      if (part.end())
        for (const uint32_t oid : unselected) part.add_unselected(fingerprints_.at(oid));
      write_part(part);
      if (empty_parts) {
        part.set_begin(false);
        part.set_end(end == changes.size());
        part.set_part(++number);
        part.clear_records();
        part.clear_first_number();
        part.clear_spans();
        write_part(part);
      }
      at = end;
    } while (at < changes.size());
    previous_ = end_lsn;
  }

  void position(uint64_t end_lsn, bool gap = false) {
    topic::v1::Part part;
    part.set_format(1);
    part.set_end_lsn(end_lsn);
    part.set_previous_end_lsn(previous_);
    part.set_gap(gap);
    write_part(part);
    previous_ = end_lsn;
  }

  // As `anabranch adopt` goes on at `end_lsn`, which may be earlier.
  void adopt(uint64_t end_lsn) { position(end_lsn, true); }
  // The unit before the next one ended there.
  void rewind(uint64_t end_lsn) { previous_ = end_lsn; }
  // The same where what was recorded of the progress is lost.
  void adopt_without_progress(uint64_t end_lsn) {
    previous_ = 0;
    position(end_lsn, true);
  }

  // A part of rows that existed, without any.
  void content() {
    topic::v1::Part part;
    part.set_format(1);
    part.set_end_lsn(previous_);
    part.set_previous_end_lsn(previous_);
    part.set_content(true);
    write_part(part);
  }

  // Changes the value of a record of the transaction topic.
  template <typename Edit>
  void edit_part(size_t index, Edit edit) {
    StoredRecord& record = topics_.partition("p.transaction").records.at(index);
    topic::v1::Part part;
    part.ParseFromString(record.value);
    edit(part);
    record.value = part.SerializeAsString();
  }

  // What an aborted Kafka transaction leaves behind: offsets without records.
  void abort_something() {
    for (auto& [place, partition] : topics_.partitions) partition.end += 2;
  }

 private:
  using Spans = std::map<ModelTopics::Place, std::pair<topic::v1::Span, Crc32c>>;

  void write_records(topic::v1::Part& part, const std::vector<ModelChange>& changes, size_t at, size_t end) {
    Spans spans;
    for (; at < end; ++at) {
      const ModelChange& change = changes[at];
      if (change.row.operation() != topic::v1::Row::TRUNCATE) {
        write_row(part, spans, change.relation, change.partition, change.row, at + 1);
        continue;
      }
      for (const auto& [oid, leaf] : change.truncated)
        for (int32_t partition = 0; partition < partitions; ++partition) {
          topic::v1::Row row = change.row;
          row.set_leaf(leaf);
          write_row(part, spans, oid, partition, row, at + 1);
        }
    }
    for (auto& [place, span] : spans) {
      span.first.set_crc(span.second.value());
      *part.add_spans() = span.first;
      ++topics_.partition(place.first, place.second).end;  // the commit marker
    }
  }

  void write_row(const topic::v1::Part& part, Spans& spans, uint32_t oid, int32_t partition, const topic::v1::Row& row,
                 size_t number) {
    const std::string value = row.SerializeAsString();
    const size_t slices = slice_bytes == 0 ? 1 : (value.size() + slice_bytes - 1) / slice_bytes;
    for (size_t slice = 0; slice < slices; ++slice) {
      StoredRecord record;
      record.value = slices == 1 ? value : value.substr(slice * slice_bytes, slice_bytes);
      if (slices > 1) record.fragment = fmt::format("{}/{}", slice + 1, slices);
      record.lsn = Lsn(part.end_lsn()).to_string();
      record.number = std::to_string(number);
      record.xid = std::to_string(part.xid());
      record.op = row.operation() == topic::v1::Row::TRUNCATE ? "t" : "c";
      record.relation = fmt::format("{:016x}", fingerprints_.at(oid));
      const StoredRecord& stored = topics_.partition(topic(oid), partition).add(record);
      auto& [span, crc] = spans[{topic(oid), partition}];
      if (span.count() == 0) span.set_first_offset(static_cast<uint64_t>(stored.offset));
      span.set_topic(topic(oid));
      span.set_partition(static_cast<uint32_t>(partition));
      span.set_last_offset(static_cast<uint64_t>(stored.offset));
      span.set_count(span.count() + 1);
      if (std::find(span.relations().begin(), span.relations().end(), fingerprints_.at(oid)) == span.relations().end())
        span.add_relations(fingerprints_.at(oid));
      crc.add(stored.value);
    }
  }

  void write_part(const topic::v1::Part& part) {
    StoredRecord record;
    record.key = std::to_string(part.xid());
    record.value = part.SerializeAsString();
    topics_.partition("p.transaction").add(record);
    ++topics_.partition("p.transaction").end;
  }

  ModelTopics& topics_;
  std::map<uint32_t, uint64_t> fingerprints_;
  std::map<uint32_t, std::string> relation_topics_;
  uint64_t previous_ = 0;
};

}  // namespace anabranch::test
