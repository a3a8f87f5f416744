// The records of record.proto as they are written: one structure per record, which knows its size and writes itself.
// Knows nothing of PostgreSQL, so the unit tests parse these very bytes with protoc's classes.
//
// `body` is the record's own message, `kind` its field in Record. Numbers are those of record.proto, there for good.
// Fields with the default value are left out, as protobuf does. Views and pointers must live until the record is
// written.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "decoder/wire.hpp"

namespace anabranch::record {

inline constexpr uint32_t format = 1;

enum class Kind : uint32_t {
  begin = 1,
  relation = 2,
  insert = 3,
  update = 4,
  remove = 5,
  truncate = 6,
  message = 7,
  unselected = 8,
  commit = 9,
  fragment = 10,
};

enum class BeforeKind : uint32_t { none = 0, key = 1, full = 2 };

// Fields with protobuf's rule: a default value is not written.
inline size_t number_size(uint32_t field, uint64_t value) {
  return value ? wire::varint_field_size(field, value) : 0;
}
inline size_t text_size(uint32_t field, std::string_view text) {
  return text.empty() ? 0 : wire::bytes_field_size(field, text.size());
}
inline void write_number(wire::Writer& writer, uint32_t field, uint64_t value) {
  if (value) writer.varint_field(field, value);
}
inline void write_text(wire::Writer& writer, uint32_t field, std::string_view text) {
  if (!text.empty()) writer.bytes_field(field, text.data(), text.size());
}

// An array that somebody else owns.
template <typename T>
struct List {
  const T* items = nullptr;
  size_t count = 0;
  const T* begin() const { return items; }
  const T* end() const { return items + count; }
};

inline size_t packed_size(uint32_t field, List<uint32_t> numbers) {
  size_t size = 0;
  for (uint32_t number : numbers) size += wire::varint_size(number);
  return numbers.count ? wire::bytes_field_size(field, size) : 0;
}

inline void write_packed(wire::Writer& writer, uint32_t field, List<uint32_t> numbers) {
  if (!numbers.count) return;
  size_t size = 0;
  for (uint32_t number : numbers) size += wire::varint_size(number);
  writer.begin_bytes(field, size);
  for (uint32_t number : numbers) writer.varint(number);
}

struct Begin {
  static constexpr Kind kind = Kind::begin;
  uint64_t xid = 0;
  int64_t commit_time = 0;
  uint64_t commit_lsn = 0;
  std::string_view origin;

  size_t size() const {
    return number_size(1, format) + number_size(2, xid) + number_size(3, wire::zigzag(commit_time)) +
           number_size(4, commit_lsn) + text_size(5, origin);
  }
  void write(wire::Writer& writer) const {
    write_number(writer, 1, format);
    write_number(writer, 2, xid);
    write_number(writer, 3, wire::zigzag(commit_time));
    write_number(writer, 4, commit_lsn);
    write_text(writer, 5, origin);
  }
};

struct Commit {
  static constexpr Kind kind = Kind::commit;
  uint64_t end_lsn = 0;
  uint64_t changes = 0;
  uint32_t crc = 0;

  size_t size() const {
    return number_size(1, end_lsn) + number_size(2, changes) + (crc ? wire::fixed32_field_size(3) : 0);
  }
  void write(wire::Writer& writer) const {
    write_number(writer, 1, end_lsn);
    write_number(writer, 2, changes);
    if (crc) writer.fixed32_field(3, crc);
  }
};

struct Column {
  uint32_t number = 0;
  std::string_view name;
  uint32_t type_oid = 0;
  std::string_view type_schema;
  std::string_view type_name;
  int32_t type_modifier = 0;
  uint32_t encoding = 0;
  bool in_identity = false;

  size_t size() const {
    return number_size(1, number) + text_size(2, name) + number_size(3, type_oid) + text_size(4, type_schema) +
           text_size(5, type_name) + number_size(6, wire::zigzag(type_modifier)) + number_size(7, encoding) +
           number_size(8, in_identity);
  }
  void write(wire::Writer& writer) const {
    write_number(writer, 1, number);
    write_text(writer, 2, name);
    write_number(writer, 3, type_oid);
    write_text(writer, 4, type_schema);
    write_text(writer, 5, type_name);
    write_number(writer, 6, wire::zigzag(type_modifier));
    write_number(writer, 7, encoding);
    write_number(writer, 8, in_identity);
  }
};

struct Relation {
  static constexpr Kind kind = Kind::relation;
  uint32_t oid = 0;
  uint32_t generation = 0;
  std::string_view schema;
  std::string_view name;
  uint32_t replica_identity = 0;
  List<Column> columns;

  size_t size() const {
    size_t size = number_size(1, oid) + number_size(2, generation) + text_size(3, schema) + text_size(4, name) +
                  number_size(5, replica_identity);
    for (const Column& column : columns) size += wire::bytes_field_size(6, column.size());
    return size;
  }
  void write(wire::Writer& writer) const {
    write_number(writer, 1, oid);
    write_number(writer, 2, generation);
    write_text(writer, 3, schema);
    write_text(writer, 4, name);
    write_number(writer, 5, replica_identity);
    for (const Column& column : columns) {
      writer.begin_bytes(6, column.size());
      column.write(writer);
    }
  }
};

struct Omitted {
  uint32_t number = 0;
  std::string_view sqlstate;
  std::string_view reason;

  size_t size() const { return number_size(1, number) + text_size(2, sqlstate) + text_size(3, reason); }
  void write(wire::Writer& writer) const {
    write_number(writer, 1, number);
    write_text(writer, 2, sqlstate);
    write_text(writer, 3, reason);
  }
};

struct Gaps {
  List<uint32_t> fragmented;
  List<Omitted> omitted;

  bool empty() const { return fragmented.count == 0 && omitted.count == 0; }
  size_t size() const {
    size_t size = packed_size(1, fragmented);
    for (const Omitted& one : omitted) size += wire::bytes_field_size(2, one.size());
    return size;
  }
  void write(wire::Writer& writer) const {
    write_packed(writer, 1, fragmented);
    for (const Omitted& one : omitted) {
      writer.begin_bytes(2, one.size());
      one.write(writer);
    }
  }
};

// A row writes its own fields: `size` of them all is known before, write(Writer&) writes exactly as many bytes.
template <typename Row>
size_t row_size(uint32_t field, const Row& row) {
  return row.size ? wire::bytes_field_size(field, row.size) : 0;
}
template <typename Row>
void write_row(wire::Writer& writer, uint32_t field, const Row& row) {
  if (!row.size) return;
  writer.begin_bytes(field, row.size);
  row.write(writer);
}
inline size_t gaps_size(uint32_t field, const Gaps& gaps) {
  return gaps.empty() ? 0 : wire::bytes_field_size(field, gaps.size());
}
inline void write_gaps(wire::Writer& writer, uint32_t field, const Gaps& gaps) {
  if (gaps.empty()) return;
  writer.begin_bytes(field, gaps.size());
  gaps.write(writer);
}

template <typename Row>
struct Insert {
  static constexpr Kind kind = Kind::insert;
  uint32_t relation;
  const Row& after;
  const Gaps& after_gaps;

  size_t size() const { return number_size(1, relation) + row_size(2, after) + gaps_size(3, after_gaps); }
  void write(wire::Writer& writer) const {
    write_number(writer, 1, relation);
    write_row(writer, 2, after);
    write_gaps(writer, 3, after_gaps);
  }
};

template <typename Row>
struct Update {
  static constexpr Kind kind = Kind::update;
  uint32_t relation;
  BeforeKind before_kind;
  const Row& before;
  const Row& after;
  List<uint32_t> unchanged;
  const Gaps& before_gaps;
  const Gaps& after_gaps;

  size_t size() const {
    return number_size(1, relation) + number_size(2, static_cast<uint32_t>(before_kind)) + row_size(3, before) +
           row_size(4, after) + packed_size(5, unchanged) + gaps_size(6, before_gaps) + gaps_size(7, after_gaps);
  }
  void write(wire::Writer& writer) const {
    write_number(writer, 1, relation);
    write_number(writer, 2, static_cast<uint32_t>(before_kind));
    write_row(writer, 3, before);
    write_row(writer, 4, after);
    write_packed(writer, 5, unchanged);
    write_gaps(writer, 6, before_gaps);
    write_gaps(writer, 7, after_gaps);
  }
};

template <typename Row>
struct Delete {
  static constexpr Kind kind = Kind::remove;
  uint32_t relation;
  BeforeKind before_kind;
  const Row& before;
  const Gaps& before_gaps;

  size_t size() const {
    return number_size(1, relation) + number_size(2, static_cast<uint32_t>(before_kind)) + row_size(3, before) +
           gaps_size(4, before_gaps);
  }
  void write(wire::Writer& writer) const {
    write_number(writer, 1, relation);
    write_number(writer, 2, static_cast<uint32_t>(before_kind));
    write_row(writer, 3, before);
    write_gaps(writer, 4, before_gaps);
  }
};

struct Fragment {
  static constexpr Kind kind = Kind::fragment;
  bool before = false;
  uint32_t number = 0;
  uint64_t offset = 0;
  uint64_t total = 0;
  std::string_view data;
  uint32_t relation = 0;

  size_t size() const {
    return number_size(1, before) + number_size(2, number) + number_size(3, offset) + number_size(4, total) +
           text_size(5, data) + number_size(6, relation);
  }
  void write(wire::Writer& writer) const {
    write_number(writer, 1, before);
    write_number(writer, 2, number);
    write_number(writer, 3, offset);
    write_number(writer, 4, total);
    write_text(writer, 5, data);
    write_number(writer, 6, relation);
  }
};

struct Truncated {
  uint32_t relation = 0;
  uint32_t leaf = 0;

  size_t size() const { return number_size(1, relation) + number_size(2, leaf); }
  void write(wire::Writer& writer) const {
    write_number(writer, 1, relation);
    write_number(writer, 2, leaf);
  }
};

struct Truncate {
  static constexpr Kind kind = Kind::truncate;
  List<Truncated> relations;
  bool cascade = false;
  bool restart_identity = false;

  size_t size() const {
    size_t size = number_size(2, cascade) + number_size(3, restart_identity);
    for (const Truncated& one : relations) size += wire::bytes_field_size(1, one.size());
    return size;
  }
  void write(wire::Writer& writer) const {
    for (const Truncated& one : relations) {
      writer.begin_bytes(1, one.size());
      one.write(writer);
    }
    write_number(writer, 2, cascade);
    write_number(writer, 3, restart_identity);
  }
};

struct Message {
  static constexpr Kind kind = Kind::message;
  bool transactional = false;
  std::string_view prefix;
  std::string_view content;
  uint64_t lsn = 0;
  uint64_t omitted_bytes = 0;

  size_t size() const {
    return number_size(1, transactional) + text_size(2, prefix) + text_size(3, content) + number_size(4, lsn) +
           number_size(5, omitted_bytes);
  }
  void write(wire::Writer& writer) const {
    write_number(writer, 1, transactional);
    write_text(writer, 2, prefix);
    write_text(writer, 3, content);
    write_number(writer, 4, lsn);
    write_number(writer, 5, omitted_bytes);
  }
};

struct Unselected {
  static constexpr Kind kind = Kind::unselected;
  uint32_t relation = 0;

  size_t size() const { return number_size(1, relation); }
  void write(wire::Writer& writer) const { write_number(writer, 1, relation); }
};

// A record whose body was written before: `bytes` are what write() made.
template <typename Record>
struct Encoded {
  static constexpr Kind kind = Record::kind;
  std::string_view bytes;

  size_t size() const { return bytes.size(); }
  void write(wire::Writer& writer) const { writer.raw(bytes.data(), bytes.size()); }
};

// A record as it stands in a frame: Frame.records and Record.<kind> round its body.
template <typename Body>
struct Framed {
  const Body& body;
  size_t body_size;
  size_t payload_size;  // of the Record message, which the commit's checksum covers
  size_t size;

  explicit Framed(const Body& what)
      : body(what),
        body_size(what.size()),
        payload_size(wire::bytes_field_size(static_cast<uint32_t>(Body::kind), body_size)),
        size(wire::bytes_field_size(1, payload_size)) {}

  // Returns where the payload starts.
  char* write(wire::Writer& writer) const {
    writer.begin_bytes(1, payload_size);
    char* payload = writer.at();
    writer.begin_bytes(static_cast<uint32_t>(Body::kind), body_size);
    body.write(writer);
    return payload;
  }
};

}  // namespace anabranch::record
