#include "sidecar/log/record.hpp"

#include <limits>

#include <fmt/format.h>

#include "decoder/wire.hpp"

namespace anabranch {
namespace {

using wire::Field;
using wire::Type;

[[noreturn]] void throw_damaged(std::string_view what) {
  throw LogError(LogError::Kind::damaged, fmt::format("damaged record: {}", what));
}

// Calls `body` for each field of a message. It passes over a field it does not know: a newer decoder may have added it.
template <typename Body>
void read_fields(std::string_view message, std::string_view name, Body body) {
  wire::Reader reader(message);
  Field field;
  while (reader.next(field)) body(field);
  if (reader.damaged())
    throw_damaged(fmt::format("{} breaks off or holds no field {} bytes before its end", name, reader.left()));
}

// The three kinds of value that our records use; another wire type under a known number is damage.
uint64_t number_of(const Field& field) {
  if (field.type != Type::varint) throw_damaged(fmt::format("field {} is no number", field.number));
  return field.value;
}

std::string_view bytes_of(const Field& field) {
  if (field.type != Type::bytes) throw_damaged(fmt::format("field {} is no string of bytes", field.number));
  return field.bytes;
}

uint32_t number32_of(const Field& field) {
  const uint64_t value = number_of(field);
  if (value > std::numeric_limits<uint32_t>::max())
    throw_damaged(fmt::format("field {} is {}, more than 32 bits", field.number, value));
  return static_cast<uint32_t>(value);
}

// A number of an enumeration that ends at `last`.
template <typename Enum>
Enum enum_of(const Field& field, Enum last) {
  const uint64_t value = number_of(field);
  if (value > static_cast<uint64_t>(last))
    throw LogError(LogError::Kind::unsupported,
                   fmt::format("field {} has the value {}, which this version does not know", field.number, value));
  return static_cast<Enum>(value);
}

// Protobuf writes repeated numbers packed, and lets a writer choose not to.
void append_numbers(const Field& field, std::vector<uint32_t>& numbers) {
  if (field.type == Type::varint) {
    numbers.push_back(number32_of(field));
    return;
  }
  std::string_view packed = bytes_of(field);
  while (!packed.empty()) {
    uint64_t value = 0;
    size_t used = 0;
    for (unsigned shift = 0;; shift += 7) {
      if (used == packed.size() || shift > 28) throw_damaged("a list of numbers breaks off");
      const auto byte = static_cast<uint8_t>(packed[used++]);
      value |= uint64_t{byte & 0x7Fu} << shift;
      if (byte < 0x80) break;
    }
    if (value > std::numeric_limits<uint32_t>::max()) throw_damaged("a list of numbers holds one of more than 32 bits");
    numbers.push_back(static_cast<uint32_t>(value));
    packed.remove_prefix(used);
  }
}

OmittedColumn read_omitted(std::string_view body) {
  OmittedColumn omitted;
  read_fields(body, "Omitted", [&](const Field& field) {
    switch (field.number) {
      case 1:
        omitted.number = number32_of(field);
        break;
      case 2:
        omitted.sqlstate = bytes_of(field);
        break;
      case 3:
        omitted.reason = bytes_of(field);
        break;
    }
  });
  return omitted;
}

void read_gaps(std::string_view body, GapsRecord& gaps) {
  read_fields(body, "Gaps", [&](const Field& field) {
    switch (field.number) {
      case 1:
        append_numbers(field, gaps.fragmented);
        break;
      case 2:
        gaps.omitted.push_back(read_omitted(bytes_of(field)));
        break;
    }
  });
}

Column read_column(std::string_view body) {
  Column column;
  column.type_modifier = 0;  // proto3 leaves out a field that is 0
  read_fields(body, "Column", [&](const Field& field) {
    switch (field.number) {
      case 1:
        column.number = number32_of(field);
        break;
      case 2:
        column.name = bytes_of(field);
        break;
      case 3:
        column.type_oid = number32_of(field);
        break;
      case 4:
        column.type_schema = bytes_of(field);
        break;
      case 5:
        column.type_name = bytes_of(field);
        break;
      case 6:
        column.type_modifier = static_cast<int32_t>(wire::unzigzag(number_of(field)));
        break;
      case 7:
        column.encoding = enum_of(field, Encoding::raw_text);
        break;
      case 8:
        column.in_identity = number_of(field) != 0;
        break;
    }
  });
  return column;
}

}  // namespace

std::optional<RecordView> FrameReader::next() {
  if (rest_.empty()) return std::nullopt;
  wire::Reader frame(rest_);
  Field record;
  if (!frame.next(record)) throw_damaged(fmt::format("the frame breaks off {} bytes before its end", frame.left()));
  if (record.number != 1) throw_damaged(fmt::format("the frame has a field {}", record.number));
  RecordView view;
  view.payload = bytes_of(record);
  rest_.remove_prefix(rest_.size() - frame.left());

  wire::Reader reader(view.payload);
  Field kind;
  if (!reader.next(kind) || reader.left() > 0) throw_damaged("a record does not hold exactly one message");
  if (kind.number > static_cast<uint32_t>(RecordKind::fragment))
    throw LogError(LogError::Kind::unsupported,
                   fmt::format("a record is of kind {}, which this version does not know", kind.number));
  view.kind = static_cast<RecordKind>(kind.number);
  view.body = bytes_of(kind);
  return view;
}

BeginRecord read_begin(std::string_view body) {
  BeginRecord begin;
  read_fields(body, "Begin", [&](const Field& field) {
    switch (field.number) {
      case 1:
        begin.format = number32_of(field);
        break;
      case 2:
        begin.xid = number_of(field);
        break;
      case 3:
        begin.commit_time = wire::unzigzag(number_of(field));
        break;
      case 4:
        begin.commit_lsn = Lsn(number_of(field));
        break;
      case 5:
        begin.origin = bytes_of(field);
        break;
    }
  });
  if (begin.format != record_format)
    throw LogError(LogError::Kind::unsupported,
                   fmt::format("the stream is of format {}, this version reads {}", begin.format, record_format));
  if (begin.xid == 0 || !begin.commit_lsn.valid()) throw_damaged("Begin without a transaction id or a position");
  return begin;
}

CommitRecord read_commit(std::string_view body) {
  CommitRecord commit;
  read_fields(body, "Commit", [&](const Field& field) {
    switch (field.number) {
      case 1:
        commit.end_lsn = Lsn(number_of(field));
        break;
      case 2:
        commit.changes = number_of(field);
        break;
      case 3:
        if (field.type != Type::fixed32) throw_damaged("the checksum is not 32 bits");
        commit.crc = static_cast<uint32_t>(field.value);
        break;
    }
  });
  if (!commit.end_lsn.valid()) throw_damaged("Commit without a position");
  return commit;
}

Relation read_relation(std::string_view body) {
  Relation relation;
  read_fields(body, "Relation", [&](const Field& field) {
    switch (field.number) {
      case 1:
        relation.oid = number32_of(field);
        break;
      case 2:
        relation.generation = number32_of(field);
        break;
      case 3:
        relation.schema = bytes_of(field);
        break;
      case 4:
        relation.name = bytes_of(field);
        break;
      case 5:
        relation.replica_identity = enum_of(field, ReplicaIdentity::nothing);
        break;
      case 6:
        relation.columns.push_back(read_column(bytes_of(field)));
        break;
    }
  });
  if (relation.oid == 0) throw_damaged("Relation without an oid");
  uint32_t before = 0;
  for (const Column& column : relation.columns) {
    if (column.number <= before) throw_damaged("Relation whose columns do not ascend");
    before = column.number;
  }
  return relation;
}

void read_row(RecordKind kind, std::string_view body, RowRecord& row) {
  row.relation = 0;
  row.before_kind = BeforeKind::none;
  row.before = row.after = {};
  if (row.has_details) {
    row.unchanged.clear();
    for (GapsRecord* gaps : {&row.before_gaps, &row.after_gaps}) {
      gaps->fragmented.clear();
      gaps->omitted.clear();
    }
    row.has_details = false;
  }
  // The numbers of Insert, Update and Delete as those of Update, which has all of them.
  enum : uint32_t { relation = 1, before_kind, before, after, unchanged, before_gaps, after_gaps, unknown };
  static constexpr uint32_t of_insert[] = {unknown, relation, after, after_gaps};
  static constexpr uint32_t of_update[] = {unknown, relation,  before_kind, before,
                                           after,   unchanged, before_gaps, after_gaps};
  static constexpr uint32_t of_delete[] = {unknown, relation, before_kind, before, before_gaps};
  const uint32_t* numbers = of_update;
  uint32_t count = std::size(of_update);
  if (kind == RecordKind::insert) {
    numbers = of_insert;
    count = std::size(of_insert);
  } else if (kind == RecordKind::remove) {
    numbers = of_delete;
    count = std::size(of_delete);
  }
  read_fields(body, "a row", [&](const Field& field) {
    switch (field.number < count ? numbers[field.number] : unknown) {
      case relation:
        row.relation = number32_of(field);
        break;
      case before_kind:
        row.before_kind = enum_of(field, BeforeKind::full);
        break;
      case before:
        row.before = bytes_of(field);
        break;
      case after:
        row.after = bytes_of(field);
        break;
      case unchanged:
        append_numbers(field, row.unchanged);
        row.has_details = true;
        break;
      case before_gaps:
        row.has_details = true;
        read_gaps(bytes_of(field), row.before_gaps);
        break;
      case after_gaps:
        row.has_details = true;
        read_gaps(bytes_of(field), row.after_gaps);
        break;
    }
  });
}

TruncateRecord read_truncate(std::string_view body) {
  TruncateRecord truncate;
  read_fields(body, "Truncate", [&](const Field& field) {
    switch (field.number) {
      case 1: {
        TruncateRecord::Entry entry;
        read_fields(bytes_of(field), "Truncated", [&](const Field& part) {
          switch (part.number) {
            case 1:
              entry.relation = number32_of(part);
              break;
            case 2:
              entry.leaf = number32_of(part);
              break;
          }
        });
        truncate.relations.push_back(entry);
        break;
      }
      case 2:
        truncate.cascade = number_of(field) != 0;
        break;
      case 3:
        truncate.restart_identity = number_of(field) != 0;
        break;
    }
  });
  return truncate;
}

MessageRecord read_message(std::string_view body) {
  MessageRecord message;
  read_fields(body, "Message", [&](const Field& field) {
    switch (field.number) {
      case 1:
        message.transactional = number_of(field) != 0;
        break;
      case 2:
        message.prefix = bytes_of(field);
        break;
      case 3:
        message.content = bytes_of(field);
        break;
      case 4:
        message.lsn = Lsn(number_of(field));
        break;
      case 5:
        message.omitted_bytes = number_of(field);
        break;
    }
  });
  return message;
}

uint32_t read_unselected(std::string_view body) {
  uint32_t relation = 0;
  read_fields(body, "Unselected", [&](const Field& field) {
    if (field.number == 1) relation = number32_of(field);
  });
  return relation;
}

FragmentRecord read_fragment(std::string_view body) {
  FragmentRecord fragment;
  read_fields(body, "Fragment", [&](const Field& field) {
    switch (field.number) {
      case 1:
        fragment.before = number_of(field) != 0;
        break;
      case 2:
        fragment.number = number32_of(field);
        break;
      case 3:
        fragment.offset = number_of(field);
        break;
      case 4:
        fragment.total = number_of(field);
        break;
      case 5:
        fragment.data = bytes_of(field);
        break;
      case 6:
        fragment.relation = number32_of(field);
        break;
    }
  });
  return fragment;
}

}  // namespace anabranch
