// The records of record.proto as they are written: one structure per record, which names its fields in order to a sink
// (`tell`). One sink adds up their sizes, another writes them, so the two cannot differ. Knows nothing of PostgreSQL:
// the unit tests parse these very bytes with protoc's classes.
//
// `kind` is the record's field in Record. Fields with the default value are left out, as protobuf does. Views and
// pointers must live until the record is written.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "decoder/format.hpp"
#include "decoder/wire.hpp"

namespace anabranch::record {

// An array that somebody else owns.
template <typename T>
struct List {
  const T* items = nullptr;
  size_t count = 0;
  const T* begin() const { return items; }
  const T* end() const { return items + count; }
};

inline size_t packed_size(List<uint32_t> numbers) {
  size_t size = 0;
  for (uint32_t number : numbers) size += wire::varint_size(number);
  return size;
}

// Bytes of a record's, or another message's, own fields.
template <typename Body>
size_t size_of(const Body& body);

// The sink that adds up the bytes of what it is told.
class SizeSink {
 public:
  size_t size() const { return size_; }

  void number(uint32_t field, uint64_t value) {
    if (value) size_ += wire::varint_field_size(field, value);
  }
  void fixed32(uint32_t field, uint32_t value) {
    if (value) size_ += wire::fixed32_field_size(field);
  }
  void text(uint32_t field, std::string_view text) {
    if (!text.empty()) size_ += wire::bytes_field_size(field, text.size());
  }
  void numbers(uint32_t field, List<uint32_t> numbers) {
    if (numbers.count) size_ += wire::bytes_field_size(field, packed_size(numbers));
  }
  // A row knows its size and writes itself: write(Writer&) writes `size` bytes.
  template <typename Row>
  void row(uint32_t field, const Row& row) {
    if (row.size) size_ += wire::bytes_field_size(field, row.size);
  }
  // A message within this one; it is told even when it is empty.
  template <typename Body>
  void message(uint32_t field, const Body& body) {
    size_ += wire::bytes_field_size(field, size_of(body));
  }
  void raw(std::string_view bytes) { size_ += bytes.size(); }

 private:
  size_t size_ = 0;
};

template <typename Body>
size_t size_of(const Body& body) {
  SizeSink sink;
  body.tell(sink);
  return sink.size();
}

// The sink that writes what it is told; the writer must have room for what the other one added up.
class WriteSink {
 public:
  explicit WriteSink(wire::Writer& writer) : writer_(writer) {}

  void number(uint32_t field, uint64_t value) {
    if (value) writer_.varint_field(field, value);
  }
  void fixed32(uint32_t field, uint32_t value) {
    if (value) writer_.fixed32_field(field, value);
  }
  void text(uint32_t field, std::string_view text) {
    if (!text.empty()) writer_.bytes_field(field, text.data(), text.size());
  }
  void numbers(uint32_t field, List<uint32_t> numbers) {
    if (!numbers.count) return;
    writer_.begin_bytes(field, packed_size(numbers));
    for (uint32_t number : numbers) writer_.varint(number);
  }
  template <typename Row>
  void row(uint32_t field, const Row& row) {
    if (!row.size) return;
    writer_.begin_bytes(field, row.size);
    row.write(writer_);
  }
  template <typename Body>
  void message(uint32_t field, const Body& body) {
    writer_.begin_bytes(field, size_of(body));
    body.tell(*this);
  }
  void raw(std::string_view bytes) { writer_.raw(bytes.data(), bytes.size()); }

 private:
  wire::Writer& writer_;
};

template <typename Body>
void write(wire::Writer& writer, const Body& body) {
  WriteSink sink(writer);
  body.tell(sink);
}

struct Begin {
  static constexpr RecordKind kind = RecordKind::begin;
  uint64_t xid = 0;
  int64_t commit_time = 0;
  uint64_t commit_lsn = 0;
  std::string_view origin;
  uint64_t end_lsn = 0;

  template <typename Sink>
  void tell(Sink& to) const {
    to.number(fields::begin::format, record_format);
    to.number(fields::begin::xid, xid);
    to.number(fields::begin::commit_time, wire::zigzag(commit_time));
    to.number(fields::begin::commit_lsn, commit_lsn);
    to.text(fields::begin::origin, origin);
    to.number(fields::begin::end_lsn, end_lsn);
  }
};

struct Commit {
  static constexpr RecordKind kind = RecordKind::commit;
  uint64_t end_lsn = 0;
  uint64_t changes = 0;
  uint32_t crc = 0;

  template <typename Sink>
  void tell(Sink& to) const {
    to.number(fields::commit::end_lsn, end_lsn);
    to.number(fields::commit::changes, changes);
    to.fixed32(fields::commit::crc, crc);
  }
};

struct Column {
  uint32_t number = 0;
  std::string_view name;
  uint32_t type_oid = 0;
  std::string_view type_schema;
  std::string_view type_name;
  int32_t type_modifier = 0;
  Encoding encoding = Encoding::text;
  bool in_identity = false;
  bool in_primary_key = false;

  template <typename Sink>
  void tell(Sink& to) const {
    to.number(fields::column::number, number);
    to.text(fields::column::name, name);
    to.number(fields::column::type_oid, type_oid);
    to.text(fields::column::type_schema, type_schema);
    to.text(fields::column::type_name, type_name);
    to.number(fields::column::type_modifier, wire::zigzag(type_modifier));
    to.number(fields::column::encoding, static_cast<uint64_t>(encoding));
    to.number(fields::column::in_identity, in_identity);
    to.number(fields::column::in_primary_key, in_primary_key);
  }
};

struct Relation {
  static constexpr RecordKind kind = RecordKind::relation;
  uint32_t oid = 0;
  uint32_t generation = 0;
  std::string_view schema;
  std::string_view name;
  ReplicaIdentity replica_identity = ReplicaIdentity::by_default;
  List<Column> columns;

  template <typename Sink>
  void tell(Sink& to) const {
    to.number(fields::relation::oid, oid);
    to.number(fields::relation::generation, generation);
    to.text(fields::relation::schema, schema);
    to.text(fields::relation::name, name);
    to.number(fields::relation::replica_identity, static_cast<uint64_t>(replica_identity));
    for (const Column& column : columns) to.message(fields::relation::columns, column);
  }
};

struct Omitted {
  uint32_t number = 0;
  std::string_view sqlstate;
  std::string_view reason;

  template <typename Sink>
  void tell(Sink& to) const {
    to.number(fields::omitted::number, number);
    to.text(fields::omitted::sqlstate, sqlstate);
    to.text(fields::omitted::reason, reason);
  }
};

struct Gaps {
  List<uint32_t> fragmented;
  List<Omitted> omitted;

  bool empty() const { return fragmented.count == 0 && omitted.count == 0; }
  template <typename Sink>
  void tell(Sink& to) const {
    to.numbers(fields::gaps::fragmented, fragmented);
    for (const Omitted& one : omitted) to.message(fields::gaps::omitted, one);
  }
};

template <typename Row>
struct Insert {
  static constexpr RecordKind kind = RecordKind::insert;
  uint32_t relation;
  const Row& after;
  const Gaps& after_gaps;

  template <typename Sink>
  void tell(Sink& to) const {
    to.number(fields::insert::relation, relation);
    to.row(fields::insert::after, after);
    if (!after_gaps.empty()) to.message(fields::insert::after_gaps, after_gaps);
  }
};

template <typename Row>
struct Update {
  static constexpr RecordKind kind = RecordKind::update;
  uint32_t relation;
  BeforeKind before_kind;
  const Row& before;
  const Row& after;
  List<uint32_t> unchanged;
  const Gaps& before_gaps;
  const Gaps& after_gaps;

  template <typename Sink>
  void tell(Sink& to) const {
    to.number(fields::update::relation, relation);
    to.number(fields::update::before_kind, static_cast<uint64_t>(before_kind));
    to.row(fields::update::before, before);
    to.row(fields::update::after, after);
    to.numbers(fields::update::unchanged, unchanged);
    if (!before_gaps.empty()) to.message(fields::update::before_gaps, before_gaps);
    if (!after_gaps.empty()) to.message(fields::update::after_gaps, after_gaps);
  }
};

template <typename Row>
struct Delete {
  static constexpr RecordKind kind = RecordKind::remove;
  uint32_t relation;
  BeforeKind before_kind;
  const Row& before;
  const Gaps& before_gaps;

  template <typename Sink>
  void tell(Sink& to) const {
    to.number(fields::remove::relation, relation);
    to.number(fields::remove::before_kind, static_cast<uint64_t>(before_kind));
    to.row(fields::remove::before, before);
    if (!before_gaps.empty()) to.message(fields::remove::before_gaps, before_gaps);
  }
};

struct Fragment {
  static constexpr RecordKind kind = RecordKind::fragment;
  bool before = false;
  uint32_t number = 0;
  uint64_t offset = 0;
  uint64_t total = 0;
  std::string_view data;
  uint32_t relation = 0;

  template <typename Sink>
  void tell(Sink& to) const {
    to.number(fields::fragment::before, before);
    to.number(fields::fragment::number, number);
    to.number(fields::fragment::offset, offset);
    to.number(fields::fragment::total, total);
    to.text(fields::fragment::data, data);
    to.number(fields::fragment::relation, relation);
  }
};

struct Truncated {
  uint32_t relation = 0;
  uint32_t leaf = 0;

  template <typename Sink>
  void tell(Sink& to) const {
    to.number(fields::truncated::relation, relation);
    to.number(fields::truncated::leaf, leaf);
  }
};

struct Truncate {
  static constexpr RecordKind kind = RecordKind::truncate;
  List<Truncated> relations;
  bool cascade = false;
  bool restart_identity = false;

  template <typename Sink>
  void tell(Sink& to) const {
    for (const Truncated& one : relations) to.message(fields::truncate::relations, one);
    to.number(fields::truncate::cascade, cascade);
    to.number(fields::truncate::restart_identity, restart_identity);
  }
};

struct Message {
  static constexpr RecordKind kind = RecordKind::message;
  bool transactional = false;
  std::string_view prefix;
  std::string_view content;
  uint64_t lsn = 0;
  uint64_t omitted_bytes = 0;
  std::string_view sqlstate = {};
  std::string_view reason = {};
  uint64_t prefix_bytes = 0;

  template <typename Sink>
  void tell(Sink& to) const {
    to.number(fields::message::transactional, transactional);
    to.text(fields::message::prefix, prefix);
    to.text(fields::message::content, content);
    to.number(fields::message::lsn, lsn);
    to.number(fields::message::omitted_bytes, omitted_bytes);
    to.text(fields::message::sqlstate, sqlstate);
    to.text(fields::message::reason, reason);
    to.number(fields::message::prefix_bytes, prefix_bytes);
  }
};

struct Unselected {
  static constexpr RecordKind kind = RecordKind::unselected;
  uint32_t relation = 0;

  template <typename Sink>
  void tell(Sink& to) const {
    to.number(fields::unselected::relation, relation);
  }
};

// A record whose body was written before: `bytes` are what write() made.
template <typename Record>
struct Encoded {
  static constexpr RecordKind kind = Record::kind;
  std::string_view bytes;

  template <typename Sink>
  void tell(Sink& to) const {
    to.raw(bytes);
  }
};

// A record as it stands in a frame: Frame.records and Record.<kind> round its body.
template <typename Body>
struct Framed {
  static constexpr uint32_t field = static_cast<uint32_t>(Body::kind);
  const Body& body;
  size_t body_size;
  size_t payload_size;  // of the Record message, which the commit's checksum covers
  size_t size;

  explicit Framed(const Body& what)
      : body(what),
        body_size(size_of(what)),
        payload_size(wire::bytes_field_size(field, body_size)),
        size(wire::bytes_field_size(fields::frame::records, payload_size)) {}

  // Returns where the payload starts.
  char* write(wire::Writer& writer) const {
    writer.begin_bytes(fields::frame::records, payload_size);
    char* payload = writer.at();
    writer.begin_bytes(field, body_size);
    record::write(writer, body);
    return payload;
  }
};

}  // namespace anabranch::record
