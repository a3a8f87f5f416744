#include "sidecar/publish/format_avro.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <limits>

#include "sidecar/publish/avro_schema.hpp"
#include "sidecar/publish/avro_writer.hpp"
#include "sidecar/publish/change_rows.hpp"
#include "sidecar/publish/column_type.hpp"
#include "sidecar/publish/debezium_envelope.hpp"
#include "sidecar/topic/schema_frame.hpp"

namespace anabranch {
namespace {

constexpr int64_t union_null = 0, union_value = 1;

// Since 1970; infinities stay the least and the greatest. False where 64 bits do not hold it: past the year 294246.
bool to_epoch(int64_t micros, int64_t& since_1970) {
  constexpr auto greatest = std::numeric_limits<int64_t>::max();
  since_1970 = micros;
  if (micros == greatest || micros == std::numeric_limits<int64_t>::min()) return true;
  if (micros >= greatest - micros_to_postgres_epoch) return false;
  since_1970 = micros + micros_to_postgres_epoch;
  return true;
}

class AvroRelation : public RelationFormat {
 public:
  AvroRelation(const AvroOptions& options, SchemaRegistry& registry, const TableToFormat& table)
      : relation_(*table.relation), rows_(relation_), key_row_(relation_) {
    for (size_t i = 0; i < relation_.columns.size(); ++i) {
      const auto& column = relation_.columns[i];
      columns_.push_back(describe_column(column));
      if (std::find(table.key_columns.begin(), table.key_columns.end(), column.number) != table.key_columns.end())
        key_.push_back({i, is_nullable_in_key(relation_, column)});
    }
    value_schema_ = registry.register_schema(table.topic + "-value", SchemaKind::avro,
                                             avro_envelope_schema(relation_, table.topic));
    if (!table.key_columns.empty())
      key_schema_ = registry.register_schema(table.topic + "-key", SchemaKind::avro,
                                             avro_key_schema(relation_, table.key_columns, table.topic));
    if (!table.latest_topic.empty()) {
      latest_schema_ = registry.register_schema(table.latest_topic + "-value", SchemaKind::avro,
                                                avro_row_schema(relation_, table.latest_topic));
      // The keys are the same bytes, and so is their schema's number.
      registry.register_schema(table.latest_topic + "-key", SchemaKind::avro,
                               avro_key_schema(relation_, table.key_columns, table.topic));
    }
    for (const std::string_view text :
         {std::string_view(ANABRANCH_VERSION), std::string_view("postgresql"), std::string_view(options.server)})
      append_avro_bytes(source_, text);
    append_avro_bytes(database_, options.database);
    append_avro_bytes(table_, relation_.schema);
    append_avro_bytes(table_, relation_.name);
  }

  void key(std::string_view row, std::string& out) override {
    key_row_.read(row);
    append_schema_frame(out, key_schema_);
    for (const auto& part : key_) {
      const auto* field = key_row_.at(part.column);
      if (field == nullptr && !part.nullable)
        throw FormatError(fmt::format("a key of {} has no value of column \"{}\": the log is damaged",
                                      relation_.qualified_name(), relation_.columns[part.column].name));
      if (part.nullable) append_avro_long(out, field != nullptr ? union_value : union_null);
      if (field == nullptr) continue;
      if (!write_value(columns_[part.column], *field, out))
        throw FormatError(
            fmt::format("a key of {} has a time in column \"{}\" that Avro cannot say: it counts 64 bits of "
                        "microseconds from 1970; "
                        "use another key (kafka.format = \"protobuf\" has no such limit)",
                        relation_.qualified_name(), relation_.columns[part.column].name));
    }
  }

  void value(const PublishedUnit& unit, const PublishedChange& change, std::string& out) override {
    rows_.read(change);
    overflowed_before_.clear();
    overflowed_after_.clear();
    append_schema_frame(out, value_schema_);
    write_before(change, out);
    write_after(change, out);
    write_source(unit, change, out);
    const char letter = operation_letter(change.operation);
    append_avro_bytes(out, std::string_view(&letter, 1));
    append_avro_long(out, union_value);
    append_avro_long(out, debezium::milliseconds_since_1970(unit.commit_time));
    write_transaction(unit, change, out);
    write_gaps(change.before_gaps, overflowed_before_, out);
    write_gaps(change.after_gaps, overflowed_after_, out);
  }

  bool latest(const PublishedChange& change, std::string& out) override {
    rows_.read(change);
    if (!rows_.leaves_row(change)) return false;
    overflowed_after_.clear();
    append_schema_frame(out, latest_schema_);
    write_row(&ChangeRows::after, overflowed_after_, out);
    if (!overflowed_after_.empty())
      throw FormatError(
          fmt::format("column \"{}\" of table {} has a time that Avro cannot say, so its latest row is not "
                      "known: set latest = false for the table",
                      relation_.columns[overflowed_after_.front()].name, relation_.qualified_name()));
    return true;
  }

 private:
  struct KeyPart {
    size_t column;
    bool nullable;
  };

  void write_before(const PublishedChange& change, std::string& out) {
    const bool shown = debezium::shows_before(change);
    append_avro_long(out, shown ? union_value : union_null);
    if (shown) write_row(&ChangeRows::before, overflowed_before_, out);
  }

  void write_after(const PublishedChange& change, std::string& out) {
    const bool shown = debezium::shows_after(change);
    append_avro_long(out, shown ? union_value : union_null);
    if (shown) write_row(&ChangeRows::after, overflowed_after_, out);
  }

  void write_row(ChangeRows::State (ChangeRows::*column_of)(size_t, const wire::Field*&) const,
                 std::vector<size_t>& overflowed, std::string& out) {
    for (size_t i = 0; i < columns_.size(); ++i) {
      const wire::Field* field = nullptr;
      const auto state = (rows_.*column_of)(i, field);
      const auto start = out.size();
      append_avro_long(out, state == ChangeRows::State::null ? union_null : union_value);
      if (state == ChangeRows::State::unavailable) {
        append_avro_bytes(out, unavailable_value);  // only text and bytes can be: the rest is always sent
      } else if (state == ChangeRows::State::value && !write_value(columns_[i], *field, out)) {
        overflowed.push_back(i);
        out.resize(start);
        append_avro_long(out, union_null);
      }
    }
  }

  // False, and nothing appended, where the type cannot say it.
  static bool write_value(const FormatColumn& column, const wire::Field& field, std::string& out) {
    const auto number = wire::unzigzag(field.value);
    switch (column.is_array ? ColumnType::text : column.type) {
      case ColumnType::boolean:
        append_avro_boolean(out, field.value != 0);
        break;
      case ColumnType::int2:
      case ColumnType::int4:
      case ColumnType::int8:
      case ColumnType::time:
        append_avro_long(out, number);
        break;
      case ColumnType::oid:
        append_avro_long(out, static_cast<int64_t>(field.value));
        break;
      case ColumnType::float4:
        append_avro_float(out, static_cast<uint32_t>(field.value));
        break;
      case ColumnType::float8:
        append_avro_double(out, field.value);
        break;
      case ColumnType::date:
        append_avro_long(out, debezium::days_since_1970(static_cast<int32_t>(number)));
        break;
      case ColumnType::timestamp:
      case ColumnType::timestamptz: {
        int64_t since_1970;
        if (!to_epoch(number, since_1970)) return false;
        append_avro_long(out, since_1970);
        break;
      }
      case ColumnType::bytes:
      case ColumnType::raw_text:
      case ColumnType::text:
        append_avro_bytes(out, field.bytes);
        break;
    }
    return true;
  }

  static void append_optional(std::string& out, uint64_t value) {
    append_avro_long(out, union_value);
    append_avro_long(out, static_cast<int64_t>(value));
  }

  // The fields of Source, in the schema's order.
  void write_source(const PublishedUnit& unit, const PublishedChange& change, std::string& out) {
    out += source_;
    append_avro_long(out, debezium::milliseconds_since_1970(unit.commit_time));
    append_avro_bytes(out, debezium::snapshot_text(change));
    out += database_;
    append_avro_long(out, union_value);
    scratch_.clear();
    debezium::append_sequence(scratch_, unit, change, "\"");
    append_avro_bytes(out, scratch_);
    out += table_;
    append_optional(out, unit.xid);
    append_optional(out, unit.end_lsn.value());
    append_avro_long(out, union_null);  // xmin
    append_avro_long(out, unit.origin.empty() ? union_null : union_value);
    if (!unit.origin.empty()) append_avro_bytes(out, unit.origin);
  }

  void write_transaction(const PublishedUnit& unit, const PublishedChange& change, std::string& out) {
    append_avro_long(out, unit.xid == 0 ? union_null : union_value);
    if (unit.xid == 0) return;
    scratch_.clear();
    debezium::append_transaction_id(scratch_, unit);
    append_avro_bytes(out, scratch_);
    append_avro_long(out, static_cast<int64_t>(change.number));
    append_avro_long(out, static_cast<int64_t>(change.number));
  }

  // An array: one block of items, and the empty block that ends it.
  void write_gaps(const std::vector<Gap>* gaps, const std::vector<size_t>& overflowed, std::string& out) {
    const auto count = (gaps != nullptr ? gaps->size() : 0) + overflowed.size();
    if (count > 0) append_avro_long(out, static_cast<int64_t>(count));
    if (gaps != nullptr)
      for (const auto& gap : *gaps) {
        const auto* column = relation_.column(gap.number);
        append_avro_bytes(out, column != nullptr ? column->name : std::to_string(gap.number));
        append_avro_bytes(out, gap.sqlstate);
        append_avro_bytes(out, gap.reason);
      }
    for (const auto column : overflowed) {
      append_avro_bytes(out, relation_.columns[column].name);
      append_avro_bytes(out, "22008");
      append_avro_bytes(out, "more microseconds since 1970 than 64 bits hold");
    }
    append_avro_long(out, 0);
  }

  const Relation& relation_;
  ChangeRows rows_;
  RowFields key_row_;
  std::vector<FormatColumn> columns_;
  std::vector<KeyPart> key_;
  int32_t key_schema_ = 0, value_schema_ = 0, latest_schema_ = 0;
  std::string source_, database_, table_;  // fields that are the same in every record
  std::vector<size_t> overflowed_before_, overflowed_after_;
  std::string scratch_;
};

class AvroFormat : public RowFormat {
 public:
  AvroFormat(AvroOptions options, std::shared_ptr<SchemaRegistry> registry)
      : options_(std::move(options)), registry_(std::move(registry)) {}

  std::string_view name() const override { return "avro"; }

  std::unique_ptr<RelationFormat> open(const TableToFormat& table) override {
    return std::make_unique<AvroRelation>(options_, *registry_, table);
  }

 private:
  AvroOptions options_;
  std::shared_ptr<SchemaRegistry> registry_;
};

}  // namespace

std::unique_ptr<RowFormat> make_avro_format(const AvroOptions& options, std::shared_ptr<SchemaRegistry> registry) {
  return std::make_unique<AvroFormat>(options, std::move(registry));
}

}  // namespace anabranch
