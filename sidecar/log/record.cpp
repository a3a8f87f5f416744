#include "sidecar/log/record.hpp"

#include <array>
#include <limits>
#include <span>

#include <fmt/format.h>

#include "sidecar/log/record_fields.hpp"

namespace anabranch {
namespace {

using namespace record_fields;

// Insert and Delete as Update, which has all their fields: the number there of each of theirs, 0 where there is none.
constexpr auto of_insert = [] {
  std::array<uint32_t, fields::insert::after_gaps + 1> number{};
  number[fields::insert::relation] = fields::update::relation;
  number[fields::insert::after] = fields::update::after;
  number[fields::insert::after_gaps] = fields::update::after_gaps;
  return number;
}();
constexpr auto of_delete = [] {
  std::array<uint32_t, fields::remove::before_gaps + 1> number{};
  number[fields::remove::relation] = fields::update::relation;
  number[fields::remove::before_kind] = fields::update::before_kind;
  number[fields::remove::before] = fields::update::before;
  number[fields::remove::before_gaps] = fields::update::before_gaps;
  return number;
}();
constexpr auto of_update = [] {
  std::array<uint32_t, fields::update::after_gaps + 1> number{};
  for (uint32_t one = 0; one < number.size(); ++one) number[one] = one;
  return number;
}();

OmittedColumn read_omitted(std::string_view body) {
  OmittedColumn omitted;
  read_fields(body, "Omitted", [&](const Field& field) {
    switch (field.number) {
      case fields::omitted::number:
        omitted.number = number32_of(field);
        break;
      case fields::omitted::sqlstate:
        omitted.sqlstate = bytes_of(field);
        break;
      case fields::omitted::reason:
        omitted.reason = bytes_of(field);
        break;
    }
  });
  return omitted;
}

void read_gaps(std::string_view body, GapsRecord& gaps) {
  read_fields(body, "Gaps", [&](const Field& field) {
    switch (field.number) {
      case fields::gaps::fragmented:
        append_numbers(field, gaps.fragmented);
        break;
      case fields::gaps::omitted:
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
      case fields::column::number:
        column.number = number32_of(field);
        break;
      case fields::column::name:
        column.name = bytes_of(field);
        break;
      case fields::column::type_oid:
        column.type_oid = number32_of(field);
        break;
      case fields::column::type_schema:
        column.type_schema = bytes_of(field);
        break;
      case fields::column::type_name:
        column.type_name = bytes_of(field);
        break;
      case fields::column::type_modifier:
        column.type_modifier = static_cast<int32_t>(wire::unzigzag(number_of(field)));
        break;
      case fields::column::encoding:
        column.encoding = enum_of(field, Encoding::raw_text);
        break;
      case fields::column::in_identity:
        column.in_identity = number_of(field) != 0;
        break;
      case fields::column::in_primary_key:
        column.in_primary_key = number_of(field) != 0;
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
  if (record.number != fields::frame::records) throw_damaged(fmt::format("the frame has a field {}", record.number));
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
      case fields::begin::format:
        begin.format = number32_of(field);
        break;
      case fields::begin::xid:
        begin.xid = number_of(field);
        break;
      case fields::begin::commit_time:
        begin.commit_time = wire::unzigzag(number_of(field));
        break;
      case fields::begin::commit_lsn:
        begin.commit_lsn = Lsn(number_of(field));
        break;
      case fields::begin::origin:
        begin.origin = bytes_of(field);
        break;
      case fields::begin::end_lsn:
        begin.end_lsn = Lsn(number_of(field));
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
      case fields::commit::end_lsn:
        commit.end_lsn = Lsn(number_of(field));
        break;
      case fields::commit::changes:
        commit.changes = number_of(field);
        break;
      case fields::commit::crc:
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
      case fields::relation::oid:
        relation.oid = number32_of(field);
        break;
      case fields::relation::generation:
        relation.generation = number32_of(field);
        break;
      case fields::relation::schema:
        relation.schema = bytes_of(field);
        break;
      case fields::relation::name:
        relation.name = bytes_of(field);
        break;
      case fields::relation::replica_identity:
        relation.replica_identity = enum_of(field, ReplicaIdentity::nothing);
        break;
      case fields::relation::columns:
        relation.columns.push_back(read_column(bytes_of(field)));
        break;
    }
  });
  if (relation.oid == 0) throw_damaged("Relation without an oid");
  relation.description = body;
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
  const std::span<const uint32_t> numbers = kind == RecordKind::insert   ? std::span<const uint32_t>(of_insert)
                                            : kind == RecordKind::remove ? std::span<const uint32_t>(of_delete)
                                                                         : std::span<const uint32_t>(of_update);
  read_fields(body, "a row", [&](const Field& field) {
    switch (field.number < numbers.size() ? numbers[field.number] : 0) {
      case fields::update::relation:
        row.relation = number32_of(field);
        break;
      case fields::update::before_kind:
        row.before_kind = enum_of(field, BeforeKind::full);
        break;
      case fields::update::before:
        row.before = bytes_of(field);
        break;
      case fields::update::after:
        row.after = bytes_of(field);
        break;
      case fields::update::unchanged:
        append_numbers(field, row.unchanged);
        row.has_details = true;
        break;
      case fields::update::before_gaps:
        row.has_details = true;
        read_gaps(bytes_of(field), row.before_gaps);
        break;
      case fields::update::after_gaps:
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
      case fields::truncate::relations: {
        TruncateRecord::Entry entry;
        read_fields(bytes_of(field), "Truncated", [&](const Field& part) {
          switch (part.number) {
            case fields::truncated::relation:
              entry.relation = number32_of(part);
              break;
            case fields::truncated::leaf:
              entry.leaf = number32_of(part);
              break;
          }
        });
        truncate.relations.push_back(entry);
        break;
      }
      case fields::truncate::cascade:
        truncate.cascade = number_of(field) != 0;
        break;
      case fields::truncate::restart_identity:
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
      case fields::message::transactional:
        message.transactional = number_of(field) != 0;
        break;
      case fields::message::prefix:
        message.prefix = bytes_of(field);
        break;
      case fields::message::content:
        message.content = bytes_of(field);
        break;
      case fields::message::lsn:
        message.lsn = Lsn(number_of(field));
        break;
      case fields::message::omitted_bytes:
        message.omitted_bytes = number_of(field);
        break;
      case fields::message::prefix_bytes:
        message.prefix_bytes = number_of(field);
        break;
      case fields::message::sqlstate:
        message.sqlstate = bytes_of(field);
        break;
      case fields::message::reason:
        message.reason = bytes_of(field);
        break;
    }
  });
  return message;
}

uint32_t read_unselected(std::string_view body) {
  uint32_t relation = 0;
  read_fields(body, "Unselected", [&](const Field& field) {
    if (field.number == fields::unselected::relation) relation = number32_of(field);
  });
  return relation;
}

FragmentRecord read_fragment(std::string_view body) {
  FragmentRecord fragment;
  read_fields(body, "Fragment", [&](const Field& field) {
    switch (field.number) {
      case fields::fragment::before:
        fragment.before = number_of(field) != 0;
        break;
      case fields::fragment::number:
        fragment.number = number32_of(field);
        break;
      case fields::fragment::offset:
        fragment.offset = number_of(field);
        break;
      case fields::fragment::total:
        fragment.total = number_of(field);
        break;
      case fields::fragment::data:
        fragment.data = bytes_of(field);
        break;
      case fields::fragment::relation:
        fragment.relation = number32_of(field);
        break;
    }
  });
  return fragment;
}

}  // namespace anabranch
