// Builds what the decoder sends, with the classes that protoc makes: the reader's tests share no line with the reader.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "decoder/record.pb.h"
#include "decoder/wire.hpp"
#include "sidecar/log/crc32c.hpp"

namespace anabranch::test {

// A row of the decoder: fields by column number.
class RowBuilder {
 public:
  RowBuilder& integer(uint32_t number, int64_t value) {
    char field[20];
    wire::Writer writer(field);
    writer.signed_field(number, value);
    bytes_.append(field, writer.at());
    return *this;
  }
  RowBuilder& text(uint32_t number, std::string_view value) {
    std::string field(wire::bytes_field_size(number, value.size()), '\0');
    wire::Writer(field.data()).bytes_field(number, value.data(), value.size());
    bytes_ += field;
    return *this;
  }
  RowBuilder& oid(uint32_t number, uint32_t value) {
    char field[20];
    wire::Writer writer(field);
    writer.varint_field(number, value);
    bytes_.append(field, writer.at());
    return *this;
  }
  operator std::string() const { return bytes_; }

 private:
  std::string bytes_;
};

// Records in order, and the frames they go out in.
class StreamBuilder {
 public:
  // end_lsn 0: as of a decoder that does not say it at the beginning.
  void begin(uint64_t xid, uint64_t commit_lsn, uint32_t format = 1, uint64_t end_lsn = 0) {
    v1::Record record;
    record.mutable_begin()->set_format(format);
    record.mutable_begin()->set_xid(xid);
    record.mutable_begin()->set_commit_time(1'000'000 * static_cast<int64_t>(xid));
    record.mutable_begin()->set_commit_lsn(commit_lsn);
    record.mutable_begin()->set_end_lsn(end_lsn);
    crc_ = Crc32c();
    changes_ = 0;
    add(record);
  }
  // Counted and checksummed as the decoder does.
  void add(const v1::Record& record) {
    records_.push_back(record.SerializeAsString());
    crc_.add(records_.back());
    changes_ += record.has_insert() || record.has_update() || record.has_delete_() || record.has_truncate() ||
                (record.has_message() && record.message().transactional());
  }
  void commit(uint64_t end_lsn) {
    v1::Record record;
    record.mutable_commit()->set_end_lsn(end_lsn);
    record.mutable_commit()->set_changes(changes_);
    record.mutable_commit()->set_crc(crc_.value());
    records_.push_back(record.SerializeAsString());
  }
  // Outside of the count and the checksum.
  void add_raw(const v1::Record& record) { records_.push_back(record.SerializeAsString()); }
  void add_raw(std::string record) { records_.push_back(std::move(record)); }

  // A table of integer columns "c1".."cN", with the first `key_columns` of them in the identity.
  void relation(uint32_t oid, uint32_t columns = 3, uint32_t key_columns = 1,
                v1::ReplicaIdentity identity = v1::REPLICA_IDENTITY_DEFAULT, std::string name = "") {
    v1::Record record;
    v1::Relation& relation = *record.mutable_relation();
    relation.set_oid(oid);
    relation.set_schema("public");
    relation.set_name(name.empty() ? "t" + std::to_string(oid) : name);
    relation.set_replica_identity(identity);
    for (uint32_t number = 1; number <= columns; ++number) {
      v1::Column& column = *relation.add_columns();
      column.set_number(number);
      column.set_name("c" + std::to_string(number));
      column.set_type_oid(20);
      column.set_type_schema("pg_catalog");
      column.set_type_name("int8");
      column.set_type_modifier(-1);
      column.set_encoding(v1::ENCODING_INTEGER);
      column.set_in_identity(identity == v1::REPLICA_IDENTITY_FULL || number <= key_columns);
    }
    add(record);
  }
  void insert(uint32_t relation, const std::string& after) {
    v1::Record record;
    record.mutable_insert()->set_relation(relation);
    record.mutable_insert()->set_after(after);
    add(record);
  }
  void update(uint32_t relation, v1::Before kind, const std::string& before, const std::string& after,
              const std::vector<uint32_t>& unchanged = {}) {
    v1::Record record;
    record.mutable_update()->set_relation(relation);
    record.mutable_update()->set_before_kind(kind);
    record.mutable_update()->set_before(before);
    record.mutable_update()->set_after(after);
    for (const uint32_t number : unchanged) record.mutable_update()->add_unchanged(number);
    add(record);
  }
  void remove(uint32_t relation, v1::Before kind, const std::string& before) {
    v1::Record record;
    record.mutable_delete_()->set_relation(relation);
    record.mutable_delete_()->set_before_kind(kind);
    record.mutable_delete_()->set_before(before);
    add(record);
  }
  void truncate(const std::vector<std::pair<uint32_t, uint32_t>>& relations_and_leaves) {
    v1::Record record;
    record.mutable_truncate();
    for (const auto& [relation, leaf] : relations_and_leaves) {
      v1::Truncated& truncated = *record.mutable_truncate()->add_relations();
      truncated.set_relation(relation);
      truncated.set_leaf(leaf);
    }
    add(record);
  }
  void fragment(uint32_t relation, uint32_t number, uint64_t offset, uint64_t total, const std::string& data,
                bool before = false) {
    v1::Record record;
    v1::Fragment& fragment = *record.mutable_fragment();
    fragment.set_before(before);
    fragment.set_number(number);
    fragment.set_offset(offset);
    fragment.set_total(total);
    fragment.set_data(data);
    fragment.set_relation(relation);
    add(record);
  }

  size_t size() const { return records_.size(); }

  // All records so far in frames of at most `records_per_frame`; then empty.
  std::vector<std::string> frames(size_t records_per_frame = 1'000'000) {
    std::vector<std::string> frames;
    for (size_t i = 0; i < records_.size(); ++i) {
      if (i % records_per_frame == 0) frames.emplace_back();
      std::string field(wire::bytes_field_size(1, records_[i].size()), '\0');
      wire::Writer(field.data()).bytes_field(1, records_[i].data(), records_[i].size());
      frames.back() += field;
    }
    records_.clear();
    return frames;
  }
  std::string frame() {
    const auto all = frames();
    return all.empty() ? "" : all[0];
  }

 private:
  std::vector<std::string> records_;
  Crc32c crc_;
  uint64_t changes_ = 0;
};

}  // namespace anabranch::test
