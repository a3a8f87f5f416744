#include "sidecar/publish/json_value.hpp"

#include <bit>
#include <limits>

#include "sidecar/pg/epoch.hpp"
#include "sidecar/publish/array_text.hpp"
#include "sidecar/publish/bytea_text.hpp"
#include "sidecar/publish/change_rows.hpp"
#include "sidecar/publish/debezium_envelope.hpp"
#include "sidecar/publish/iso_time.hpp"
#include "sidecar/publish/json_text.hpp"

namespace anabranch {
namespace {

// PGStatement.DATE_POSITIVE_INFINITY and its negative, as Debezium passes them on.
constexpr int64_t debezium_infinity = 9'223'372'036'825'200'000;
constexpr int64_t debezium_minus_infinity = -9'223'372'036'832'400'000;

void append_text(std::string& out, std::string_view text, void (*append)(std::string&, std::string_view)) {
  out += '"';
  append(out, text);
  out += '"';
}

// Text that is not known to be UTF-8: byte by byte as ISO 8859-1 where it is not, so that it can be had back.
void append_raw_text(std::string& out, std::string_view text) {
  if (is_utf8(text)) return append_json_string(out, text);
  std::string utf8;
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte < 0x80) {
      utf8 += c;
    } else {
      utf8 += static_cast<char>(0xc0 | byte >> 6);
      utf8 += static_cast<char>(0x80 | (byte & 0x3f));
    }
  }
  append_json_string(out, utf8);
}

void append_epoch_timestamp(std::string& out, int64_t micros, bool milliseconds) {
  if (micros == std::numeric_limits<int64_t>::max()) return append_number(out, debezium_infinity);
  if (micros == std::numeric_limits<int64_t>::min()) return append_number(out, debezium_minus_infinity);
  if (milliseconds) {
    // Rounded to milliseconds by the column's type, so nothing is lost.
    append_number(out, micros / 1'000 + micros_to_postgres_epoch / 1'000);
    return;
  }
  // From the year 294247 on the sum is more than 64 bits hold.
  __int128 sum = static_cast<__int128>(micros) + micros_to_postgres_epoch;
  if (sum <= std::numeric_limits<int64_t>::max()) return append_number(out, static_cast<int64_t>(sum));
  append_number(out, static_cast<uint64_t>(sum));
}

class ArrayWriter : public ArrayVisitor {
 public:
  ArrayWriter(std::string& out, ColumnType type) : out_(out), type_(type) {}

  void open() override {
    separate();
    out_ += '[';
    is_first_ = true;
  }
  void close() override {
    out_ += ']';
    is_first_ = false;
  }
  void null() override {
    separate();
    out_ += "null";
  }
  void element(std::string_view value) override {
    separate();
    switch (type_) {
      case ColumnType::boolean:
        out_ += value == "t" ? "true" : "false";
        return;
      case ColumnType::int2:
      case ColumnType::int4:
      case ColumnType::int8:
      case ColumnType::oid:
        out_ += value;
        return;
      case ColumnType::float4:
      case ColumnType::float8:
        // PostgreSQL prints what JSON reads, save for these.
        if (value == "NaN" || value.ends_with("Infinity")) return append_json_string(out_, value);
        out_ += value;
        if (value == "-0") out_ += ".0";
        return;
      case ColumnType::bytes:
        return append_json_base64(out_, bytes_of_bytea(value));
      case ColumnType::date:
      case ColumnType::timestamp:
      case ColumnType::timestamptz:
        return append_text(out_, value, append_iso_of_text);
      default:
        return append_json_string(out_, value);
    }
  }

 private:
  void separate() {
    if (!is_first_) out_ += ',';
    is_first_ = false;
  }

  std::string& out_;
  ColumnType type_;
  bool is_first_ = true;
};

}  // namespace

JsonValueWriter::JsonValueWriter(const Column& column, TimeMode times)
    : described_(describe_column(column)),
      times_(times),
      milliseconds_(column.type_modifier >= 0 && column.type_modifier <= 3) {}

void JsonValueWriter::write(std::string& out, const wire::Field& field) const {
  if (described_.is_array) return write_array(out, field.bytes);
  const auto number = wire::unzigzag(field.value);
  const bool iso = times_ == TimeMode::iso;
  switch (described_.type) {
    case ColumnType::boolean:
      out += field.value != 0 ? "true" : "false";
      break;
    case ColumnType::int2:
    case ColumnType::int4:
    case ColumnType::int8:
      append_number(out, number);
      break;
    case ColumnType::oid:
      append_number(out, field.value);
      break;
    case ColumnType::float4:
      append_json_number(out, std::bit_cast<float>(static_cast<uint32_t>(field.value)));
      break;
    case ColumnType::float8:
      append_json_number(out, std::bit_cast<double>(field.value));
      break;
    case ColumnType::bytes:
      append_json_base64(out, field.bytes);
      break;
    case ColumnType::date: {
      const auto days = static_cast<int32_t>(number);
      if (!iso) {
        append_number(out, debezium::days_since_1970(days));
        break;
      }
      out += '"';
      append_date(out, days);
      out += '"';
      break;
    }
    case ColumnType::time:
      if (!iso) {
        append_number(out, milliseconds_ ? number / 1'000 : number);
        break;
      }
      out += '"';
      append_time(out, number);
      out += '"';
      break;
    case ColumnType::timestamp:
      if (!iso) {
        append_epoch_timestamp(out, number, milliseconds_);
        break;
      }
      [[fallthrough]];
    case ColumnType::timestamptz:
      out += '"';
      append_timestamp(out, number, described_.type == ColumnType::timestamptz ? "Z" : "");
      out += '"';
      break;
    case ColumnType::raw_text:
      append_raw_text(out, field.bytes);
      break;
    case ColumnType::text:
      append_json_string(out, field.bytes);
      break;
  }
}

void JsonValueWriter::write_array(std::string& out, std::string_view text) const {
  const auto start = out.size();
  ArrayWriter writer(out, described_.type);
  if (visit_array(text, described_.delimiter, scratch_, writer)) return;
  // A type that is called like an array and is none.
  out.resize(start);
  append_json_string(out, text);
}

void JsonValueWriter::write_unavailable(std::string& out) const {
  const bool bytes = described_.type == ColumnType::bytes;
  const auto write_one = [&] {
    if (bytes)
      append_json_base64(out, unavailable_value);
    else
      append_json_string(out, unavailable_value);
  };
  if (!described_.is_array) return write_one();
  out += '[';
  switch (described_.type) {
    case ColumnType::int2:
    case ColumnType::int4:
    case ColumnType::int8:
    case ColumnType::oid:
    case ColumnType::float4:
    case ColumnType::float8:
      // As Debezium does: the bytes of the text.
      for (const char c : unavailable_value) {
        if (out.back() != '[') out += ',';
        append_number(out, static_cast<int64_t>(c));
      }
      break;
    default:
      write_one();
  }
  out += ']';
}

}  // namespace anabranch
