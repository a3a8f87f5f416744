// "protobuf": what the decoder wrote goes into the record as it is. A key is a message of the key's fields alone, a
// value a Row of topic.proto, both written by hand: this is the inner loop.
#include <algorithm>

#include <fmt/format.h>

#include "decoder/wire.hpp"
#include "sidecar/publish/change_rows.hpp"
#include "sidecar/publish/format.hpp"
#include "sidecar/topic/topic_fields.hpp"

namespace anabranch {
namespace {

size_t text_size(uint32_t field, std::string_view text) {
  return text.empty() ? 0 : wire::bytes_field_size(field, text.size());
}
void write_text(wire::Writer& writer, uint32_t field, std::string_view text) {
  if (!text.empty()) writer.bytes_field(field, text.data(), text.size());
}
size_t number_size(uint32_t field, uint64_t number) {
  return number == 0 ? 0 : wire::varint_field_size(field, number);
}
void write_number(wire::Writer& writer, uint32_t field, uint64_t number) {
  if (number != 0) writer.varint_field(field, number);
}

size_t gap_size(const Gap& gap) {
  return number_size(topic_fields::omitted::number, gap.number) +
         text_size(topic_fields::omitted::sqlstate, gap.sqlstate) +
         text_size(topic_fields::omitted::reason, gap.reason);
}

size_t gaps_size(uint32_t field, const std::vector<Gap>* gaps) {
  size_t size = 0;
  if (gaps != nullptr)
    for (const Gap& gap : *gaps) size += wire::bytes_field_size(field, gap_size(gap));
  return size;
}

void write_gaps(wire::Writer& writer, uint32_t field, const std::vector<Gap>* gaps) {
  if (gaps == nullptr) return;
  for (const Gap& gap : *gaps) {
    writer.begin_bytes(field, gap_size(gap));
    write_number(writer, topic_fields::omitted::number, gap.number);
    write_text(writer, topic_fields::omitted::sqlstate, gap.sqlstate);
    write_text(writer, topic_fields::omitted::reason, gap.reason);
  }
}

size_t packed_size(const std::vector<uint32_t>* numbers) {
  size_t size = 0;
  if (numbers != nullptr)
    for (const uint32_t number : *numbers) size += wire::varint_size(number);
  return size;
}

class ProtobufRelation final : public RelationFormat {
 public:
  explicit ProtobufRelation(const TableToFormat& table)
      : relation_(*table.relation), key_columns_(table.key_columns), rows_(relation_) {}

  void key(std::string_view row, std::string& out) override {
    wire::Reader reader(row);
    wire::Field field;
    auto wanted = key_columns_.begin();
    size_t at = 0;
    while (wanted != key_columns_.end() && reader.next(field)) {
      const size_t end = row.size() - reader.left();
      while (wanted != key_columns_.end() && *wanted < field.number) ++wanted;
      if (wanted != key_columns_.end() && *wanted == field.number) {
        out.append(row.data() + at, end - at);
        ++wanted;
      }
      at = end;
    }
    if (reader.damaged()) throw FormatError(fmt::format("a row of {} breaks off", relation_.qualified_name()));
  }

  void value(const PublishedUnit&, const PublishedChange& change, std::string& out) override {
    namespace fields = topic_fields::row;
    const auto operation = static_cast<uint64_t>(change.operation);
    const auto before_kind = static_cast<uint64_t>(change.before_kind);
    const size_t unchanged = packed_size(change.unchanged);
    const size_t size = number_size(fields::operation, operation) + number_size(fields::before_kind, before_kind) +
                        text_size(fields::before, change.before) + text_size(fields::after, change.after) +
                        (unchanged == 0 ? 0 : wire::bytes_field_size(fields::unchanged, unchanged)) +
                        gaps_size(fields::omitted_before, change.before_gaps) +
                        gaps_size(fields::omitted_after, change.after_gaps) + number_size(fields::leaf, change.leaf) +
                        number_size(fields::cascade, change.cascade) +
                        number_size(fields::restart_identity, change.restart_identity);
    const size_t start = out.size();
    out.resize(start + size);
    wire::Writer writer(out.data() + start);
    write_number(writer, fields::operation, operation);
    write_number(writer, fields::before_kind, before_kind);
    write_text(writer, fields::before, change.before);
    write_text(writer, fields::after, change.after);
    if (unchanged != 0) {
      writer.begin_bytes(fields::unchanged, unchanged);
      for (const uint32_t number : *change.unchanged) writer.varint(number);
    }
    write_gaps(writer, fields::omitted_before, change.before_gaps);
    write_gaps(writer, fields::omitted_after, change.after_gaps);
    write_number(writer, fields::leaf, change.leaf);
    write_number(writer, fields::cascade, change.cascade);
    write_number(writer, fields::restart_identity, change.restart_identity);
  }

  // The row's bytes as they are, save where a value that did not change has to be taken from the old row.
  bool latest(const PublishedChange& change, std::string& out) override {
    if (change.operation != RowOperation::remove && change.operation != RowOperation::truncate &&
        change.unchanged == nullptr && change.after_gaps == nullptr) {
      out += change.after;
      return true;
    }
    rows_.read(change);
    if (!rows_.leaves_row(change)) return false;
    for (size_t i = 0; i < relation_.columns.size(); ++i) {
      const wire::Field* field = nullptr;
      if (rows_.after(i, field) == ChangeRows::State::value) append_field(*field, out);
    }
    return true;
  }

 private:
  static void append_field(const wire::Field& field, std::string& out) {
    const size_t start = out.size();
    out.resize(start + wire::bytes_field_size(field.number, field.bytes.size()) + sizeof(uint64_t) + 2);
    wire::Writer writer(out.data() + start);
    switch (field.type) {
      case wire::Type::varint:
        writer.varint_field(field.number, field.value);
        break;
      case wire::Type::fixed32:
        writer.fixed32_field(field.number, static_cast<uint32_t>(field.value));
        break;
      case wire::Type::fixed64:
        writer.fixed64_field(field.number, field.value);
        break;
      case wire::Type::bytes:
        writer.bytes_field(field.number, field.bytes.data(), field.bytes.size());
        break;
    }
    out.resize(static_cast<size_t>(writer.at() - out.data()));
  }

  const Relation& relation_;
  const std::vector<uint32_t> key_columns_;
  ChangeRows rows_;
};

class ProtobufFormat final : public RowFormat {
 public:
  std::string_view name() const override { return "protobuf"; }
  std::unique_ptr<RelationFormat> open(const TableToFormat& table) override {
    return std::make_unique<ProtobufRelation>(table);
  }
};

}  // namespace

std::unique_ptr<RowFormat> make_protobuf_format() {
  return std::make_unique<ProtobufFormat>();
}

}  // namespace anabranch
