#include "sidecar/publish/format_debezium_json.hpp"

#include <fmt/format.h>

#include "sidecar/publish/change_rows.hpp"
#include "sidecar/publish/debezium_envelope.hpp"
#include "sidecar/publish/json_text.hpp"

namespace anabranch {
namespace {

std::string json_string(std::string_view text) {
  std::string out;
  append_json_string(out, text);
  return out;
}

class DebeziumJsonRelation : public RelationFormat {
 public:
  DebeziumJsonRelation(const DebeziumOptions& options, const TableToFormat& table)
      : relation_(*table.relation), rows_(relation_), key_row_(relation_) {
    for (const auto& column : relation_.columns) {
      names_.push_back(json_string(column.name) + ":");
      writers_.emplace_back(column, options.times);
    }
    for (const auto number : table.key_columns)
      for (size_t i = 0; i < relation_.columns.size(); ++i)
        if (relation_.columns[i].number == number) key_.push_back(i);
    source_ = fmt::format(R"("source":{{"version":"{}","connector":"postgresql","name":{},"ts_ms":)", ANABRANCH_VERSION,
                          json_string(options.server));
    table_ = fmt::format(R"(,"db":{},"schema":{},"table":{},"txId":)", json_string(options.database),
                         json_string(relation_.schema), json_string(relation_.name));
  }

  void key(std::string_view row, std::string& out) override {
    key_row_.read(row);
    char separator = '{';
    for (const auto column : key_) {
      out += separator;
      out += names_[column];
      if (const auto* field = key_row_.at(column))
        writers_[column].write(out, *field);
      else
        out += "null";
      separator = ',';
    }
    out += key_.empty() ? "{}" : "}";
  }

  void value(const PublishedUnit& unit, const PublishedChange& change, std::string& out) override {
    rows_.read(change);
    out += "{\"before\":";
    write_before(change, out);
    out += ",\"after\":";
    write_after(change, out);
    out += ',';
    write_source(unit, change, out);
    out += ",\"op\":\"";
    out += operation_letter(change.operation);
    out += "\",\"ts_ms\":";
    append_number(out, debezium::milliseconds_since_1970(unit.commit_time));
    write_transaction(unit, change, out);
    write_gaps("omitted_before", change.before_gaps, out);
    write_gaps("omitted_after", change.after_gaps, out);
    out += '}';
  }

  bool latest(const PublishedChange& change, std::string& out) override {
    rows_.read(change);
    if (!rows_.leaves_row(change)) return false;
    write_row(&ChangeRows::after, out);
    return true;
  }

 private:
  void write_before(const PublishedChange& change, std::string& out) {
    if (debezium::shows_before(change))
      write_row(&ChangeRows::before, out);
    else
      out += "null";
  }

  void write_after(const PublishedChange& change, std::string& out) {
    if (debezium::shows_after(change))
      write_row(&ChangeRows::after, out);
    else
      out += "null";
  }

  void write_row(ChangeRows::State (ChangeRows::*column_of)(size_t, const wire::Field*&) const, std::string& out) {
    char separator = '{';
    for (size_t i = 0; i < names_.size(); ++i) {
      out += separator;
      separator = ',';
      out += names_[i];
      const wire::Field* field = nullptr;
      switch ((rows_.*column_of)(i, field)) {
        case ChangeRows::State::value:
          writers_[i].write(out, *field);
          break;
        case ChangeRows::State::unavailable:
          writers_[i].write_unavailable(out);
          break;
        case ChangeRows::State::null:
          out += "null";
          break;
      }
    }
    out += names_.empty() ? "{}" : "}";
  }

  void write_source(const PublishedUnit& unit, const PublishedChange& change, std::string& out) {
    out += source_;
    append_number(out, debezium::milliseconds_since_1970(unit.commit_time));
    out += R"(,"snapshot":")";
    out += debezium::snapshot_text(change);
    out += R"(","sequence":")";
    debezium::append_sequence(out, unit, change, R"(\")");
    out += '"';
    out += table_;
    append_number(out, unit.xid);
    out += ",\"lsn\":";
    append_number(out, unit.end_lsn.value());
    out += ",\"xmin\":null";
    if (!unit.origin.empty()) {
      out += ",\"origin\":";
      append_json_string(out, unit.origin);
    }
    out += '}';
  }

  void write_transaction(const PublishedUnit& unit, const PublishedChange& change, std::string& out) {
    if (unit.xid == 0) {
      out += ",\"transaction\":null";
      return;
    }
    out += ",\"transaction\":{\"id\":\"";
    debezium::append_transaction_id(out, unit);
    out += "\",\"total_order\":";
    append_number(out, change.number);
    out += ",\"data_collection_order\":";
    append_number(out, change.number);
    out += '}';
  }

  // Debezium has no word for values that could not be sent: a member of our own, beside the placeholder in the row.
  void write_gaps(std::string_view member, const std::vector<Gap>* gaps, std::string& out) {
    if (gaps == nullptr || gaps->empty()) return;
    out += ",\"";
    out += member;
    out += "\":";
    char separator = '[';
    for (const auto& gap : *gaps) {
      const auto* column = relation_.column(gap.number);
      out += separator;
      separator = ',';
      out += "{\"column\":";
      append_json_string(out, column != nullptr ? column->name : std::to_string(gap.number));
      out += ",\"sqlstate\":";
      append_json_string(out, gap.sqlstate);
      out += ",\"reason\":";
      append_json_string(out, gap.reason);
      out += '}';
    }
    out += ']';
  }

  const Relation& relation_;
  ChangeRows rows_;
  RowFields key_row_;
  std::vector<std::string> names_;  // by column: "name":
  std::vector<JsonValueWriter> writers_;
  std::vector<size_t> key_;  // places of the key's columns
  std::string source_, table_;
};

class DebeziumJsonFormat : public RowFormat {
 public:
  explicit DebeziumJsonFormat(DebeziumOptions options) : options_(std::move(options)) {}

  std::string_view name() const override { return "debezium-json"; }

  std::unique_ptr<RelationFormat> open(const TableToFormat& table) override {
    return std::make_unique<DebeziumJsonRelation>(options_, table);
  }

 private:
  DebeziumOptions options_;
};

}  // namespace

std::unique_ptr<RowFormat> make_debezium_json_format(const DebeziumOptions& options) {
  return std::make_unique<DebeziumJsonFormat>(options);
}

}  // namespace anabranch
