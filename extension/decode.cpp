// anabranch.decode(): a frame of the decoder as JSON, for people and for tests.
//
// The messages of record.proto stand in tables of their fields (record_rules.hpp), and one function shows them all.
// Nothing in the bytes is trusted: what does not fit the tables is an error that says where, fields that they do not
// know are passed over, as protobuf does.
#include "extension/postgres.hpp"

#include <string_view>
#include <type_traits>

#include "decoder/format.hpp"
#include "decoder/value.hpp"
#include "decoder/wire.hpp"
#include "extension/record_rules.hpp"

extern "C" {
#include <utils/date.h>
#include <utils/float.h>
#include <utils/jsonb.h>
#include <utils/timestamp.h>
}

namespace anabranch {
namespace {

// A relation described earlier in the same bytes.
struct SeenColumn {
  uint32_t number = 0;
  std::string_view name;
  ValueType type;
};

struct SeenRelation {
  uint32_t oid = 0;
  std::string_view schema;
  std::string_view name;
  SeenColumn* columns = nullptr;
  int column_count = 0;
  SeenRelation* next = nullptr;

  const SeenColumn* find(uint32_t number) const {
    for (int i = 0; i < column_count; ++i)
      if (columns[i].number == number) return &columns[i];
    return nullptr;
  }
};

[[noreturn]] void refuse(const char* what) {
  ereport(ERROR, (errcode(ERRCODE_DATA_CORRUPTED), errmsg("malformed frame: %s", what)));
  pg_unreachable();
}

[[noreturn]] void refuse_field(const MessageRule& rule, uint32_t number) {
  refuse(psprintf("field %u of a \"%s\" is damaged", number, rule.name));
}

class Shower {
 public:
  void show_frame(std::string_view frame, ReturnSetInfo* result) {
    wire::Reader reader(frame);
    wire::Field field;
    while (reader.next(field)) {
      if (field.number != fields::frame::records) continue;
      if (field.type != wire::Type::bytes) refuse("a record is not a message");
      Datum record = JsonbPGetDatum(show_record(field.bytes));
      bool is_null = false;
      tuplestore_putvalues(result->setResult, result->setDesc, &record, &is_null);
    }
    if (reader.damaged()) refuse(psprintf("it is damaged %zu bytes from its end", reader.left()));
  }

 private:
  Jsonb* show_record(std::string_view bytes) {
    wire::Reader reader(bytes);
    wire::Field field;
    if (!reader.next(field)) refuse("a record is empty or damaged");
    if (field.number >= std::size(records)) refuse(psprintf("unknown kind of record %u", field.number));
    if (field.type != wire::Type::bytes || reader.left() > 0) refuse("a record is damaged");
    const MessageRule& rule = records[field.number];
    state_ = nullptr;
    relation_ = nullptr;
    if (field.number == static_cast<uint32_t>(RecordKind::relation)) remember(field.bytes);
    pushJsonbValue(&state_, WJB_BEGIN_OBJECT, nullptr);
    key("kind");
    text(rule.name);
    show_fields(rule, field.bytes);
    return JsonbValueToJsonb(pushJsonbValue(&state_, WJB_END_OBJECT, nullptr));
  }

  void show_fields(const MessageRule& rule, std::string_view bytes) {
    // Repeated messages are shown as one array, which needs them together.
    for (const FieldRule& field_rule : rule.fields) {
      wire::Reader reader(bytes);
      wire::Field field;
      bool is_first = true;
      while (reader.next(field)) {
        if (field.number != field_rule.number) continue;
        if (is_first || !field_rule.is_repeated) key(field_rule.name);
        if (is_first && field_rule.is_repeated) pushJsonbValue(&state_, WJB_BEGIN_ARRAY, nullptr);
        is_first = false;
        show_field(rule, field_rule, field);
      }
      if (reader.damaged()) refuse(psprintf("a \"%s\" is damaged", rule.name));
      // A choice is shown even where it is the first, which the wire leaves out.
      if (is_first && field_rule.show == Show::choice) {
        key(field_rule.name);
        text(field_rule.choices[0]);
      }
      if (!is_first && field_rule.is_repeated) pushJsonbValue(&state_, WJB_END_ARRAY, nullptr);
    }
  }

  void show_field(const MessageRule& rule, const FieldRule& how, const wire::Field& field) {
    bool is_bytes = how.show == Show::text || how.show == Show::hex || how.show == Show::columns ||
                    how.show == Show::message || how.show == Show::row;
    if (is_bytes != (field.type == wire::Type::bytes)) refuse_field(rule, field.number);
    switch (how.show) {
      case Show::number:
        return number(field.value);
      case Show::signed_number:
        return integer(wire::unzigzag(field.value));
      case Show::boolean:
        return boolean(field.value != 0);
      case Show::text:
        return text(from_utf8(field.bytes));
      case Show::hex:
        return hex(field.bytes);
      case Show::lsn:
        return text(psprintf("%X/%X", static_cast<uint32_t>(field.value >> 32), static_cast<uint32_t>(field.value)));
      case Show::time:
        return output(timestamptz_out, Int64GetDatum(wire::unzigzag(field.value)));
      case Show::choice:
        return field.value < how.choices.size() ? text(how.choices[field.value]) : number(field.value);
      case Show::column:
        return column_name(field.value);
      case Show::columns:
        return show_columns(rule, field);
      case Show::relation:
        return show_relation(field.value);
      case Show::row:
        return show_row(rule, field.bytes);
      case Show::message:
        pushJsonbValue(&state_, WJB_BEGIN_OBJECT, nullptr);
        show_fields(*how.message, field.bytes);
        pushJsonbValue(&state_, WJB_END_OBJECT, nullptr);
    }
  }

  // Its number, and its name where it has been described.
  void show_relation(uint64_t oid) {
    relation_ = nullptr;
    for (SeenRelation* one = seen_; one; one = one->next)
      if (one->oid == oid) relation_ = one;
    number(oid);
    if (relation_ == nullptr) return;
    key("name");
    text(psprintf("%s.%s", relation_->schema.data(), relation_->name.data()));
  }

  void column_name(uint64_t column_number) {
    const SeenColumn* column = relation_ ? relation_->find(static_cast<uint32_t>(column_number)) : nullptr;
    if (column)
      text(column->name);
    else
      number(column_number);
  }

  void show_columns(const MessageRule& rule, const wire::Field& field) {
    pushJsonbValue(&state_, WJB_BEGIN_ARRAY, nullptr);
    is_in_array_ = true;
    wire::Varints numbers(field.bytes);
    uint64_t number = 0;
    while (numbers.next(number)) column_name(number);
    if (numbers.damaged()) refuse_field(rule, field.number);
    is_in_array_ = false;
    pushJsonbValue(&state_, WJB_END_ARRAY, nullptr);
  }

  void show_row(const MessageRule& rule, std::string_view bytes) {
    pushJsonbValue(&state_, WJB_BEGIN_OBJECT, nullptr);
    wire::Reader reader(bytes);
    wire::Field field;
    while (reader.next(field)) {
      const SeenColumn* column = relation_ ? relation_->find(field.number) : nullptr;
      key(column ? column->name : std::string_view(psprintf("%u", field.number)));
      if (column)
        show_value(rule, *column, field);
      else if (field.type == wire::Type::bytes)
        hex(field.bytes);
      else
        number(field.value);
    }
    if (reader.damaged()) refuse(psprintf("a row of a \"%s\" is damaged", rule.name));
    pushJsonbValue(&state_, WJB_END_OBJECT, nullptr);
  }

  // Integers and booleans as JSON has them, everything else as its text.
  void show_value(const MessageRule& rule, const SeenColumn& column, const wire::Field& field) {
    const ValueType& type = column.type;
    if (field.type != wire_type(type.encoding)) refuse_field(rule, field.number);
    int64_t value = wire::unzigzag(field.value);
    switch (type.encoding) {
      case Encoding::text:
        return text(from_utf8(field.bytes));
      case Encoding::raw_text: {
        bool is_valid =
            pg_verify_mbstr(GetDatabaseEncoding(), field.bytes.data(), static_cast<int>(field.bytes.size()), true);
        return is_valid ? text(field.bytes) : hex(field.bytes);
      }
      case Encoding::bytes:
        return hex(field.bytes);
      case Encoding::boolean:
        return boolean(field.value != 0);
      case Encoding::integer:
        return integer(value);
      case Encoding::oid:
        return number(field.value);
      case Encoding::float4:
        return output(float4out, Float4GetDatum(std::bit_cast<float4>(static_cast<uint32_t>(field.value))));
      case Encoding::float8:
        return output(float8out, Float8GetDatum(std::bit_cast<float8>(field.value)));
      case Encoding::date:
        if (value < PG_INT32_MIN || value > PG_INT32_MAX) refuse_field(rule, field.number);
        return output(date_out, DateADTGetDatum(static_cast<DateADT>(value)));
      case Encoding::time:
        if (value < 0 || value > USECS_PER_DAY) refuse_field(rule, field.number);
        return output(time_out, TimeADTGetDatum(value));
      case Encoding::timestamp:
        return output(type.type == TIMESTAMPTZOID ? timestamptz_out : timestamp_out, TimestampGetDatum(value));
    }
    refuse_field(rule, field.number);
  }

  // Keeps a Relation record for the rows to come.
  void remember(std::string_view bytes) {
    auto* relation = static_cast<SeenRelation*>(palloc0(sizeof(SeenRelation)));
    relation->schema = relation->name = "";
    wire::Reader counter(bytes);
    wire::Field field;
    int count = 0;
    while (counter.next(field)) count += field.number == fields::relation::columns;
    relation->columns = static_cast<SeenColumn*>(palloc0(sizeof(SeenColumn) * Max(count, 1)));
    wire::Reader reader(bytes);
    while (reader.next(field)) {
      bool is_bytes = field.type == wire::Type::bytes;
      if (field.number == fields::relation::oid && !is_bytes) relation->oid = static_cast<uint32_t>(field.value);
      if (field.number == fields::relation::schema && is_bytes) relation->schema = from_utf8(field.bytes);
      if (field.number == fields::relation::name && is_bytes) relation->name = from_utf8(field.bytes);
      if (field.number == fields::relation::columns && is_bytes)
        relation->columns[relation->column_count++] = read_column(field.bytes);
    }
    // The latest description of a relation is the one that counts: show_relation() takes the last it finds.
    SeenRelation** end = &seen_;
    while (*end) end = &(*end)->next;
    *end = relation;
  }

  static SeenColumn read_column(std::string_view bytes) {
    SeenColumn column;
    column.name = "";
    wire::Reader reader(bytes);
    wire::Field field;
    while (reader.next(field)) {
      bool is_bytes = field.type == wire::Type::bytes;
      if (field.number == fields::column::number && !is_bytes) column.number = static_cast<uint32_t>(field.value);
      if (field.number == fields::column::name && is_bytes) column.name = from_utf8(field.bytes);
      if (field.number == fields::column::type_oid && !is_bytes) column.type.type = static_cast<Oid>(field.value);
      if (field.number == fields::column::encoding && !is_bytes) {
        if (field.value >= std::size(encodings))
          refuse(psprintf("unknown encoding %u", static_cast<uint32_t>(field.value)));
        column.type.encoding = static_cast<Encoding>(field.value);
      }
    }
    return column;
  }

  // Terminated, in the database's encoding.
  static std::string_view from_utf8(std::string_view bytes) {
    char* copy = pnstrdup(bytes.data(), bytes.size());
    if (GetDatabaseEncoding() == PG_SQL_ASCII) return std::string_view(copy, strlen(copy));
    return pg_any_to_server(copy, static_cast<int>(bytes.size()), PG_UTF8);
  }

  void key(std::string_view name) {
    JsonbValue value = string_value(name);
    pushJsonbValue(&state_, WJB_KEY, &value);
  }
  void value(JsonbValue* what) { pushJsonbValue(&state_, is_in_array_ ? WJB_ELEM : WJB_VALUE, what); }

  static JsonbValue string_value(std::string_view text) {
    JsonbValue value;
    value.type = jbvString;
    value.val.string.val = const_cast<char*>(text.data());
    value.val.string.len = static_cast<int>(text.size());
    return value;
  }
  void text(std::string_view what) {
    JsonbValue string = string_value(what);
    value(&string);
  }
  void boolean(bool what) {
    JsonbValue result;
    result.type = jbvBool;
    result.val.boolean = what;
    value(&result);
  }
  void integer(int64_t what) { numeric(int64_to_numeric(what)); }
  void number(uint64_t what) {
    if (what <= PG_INT64_MAX) return integer(static_cast<int64_t>(what));
    numeric(DatumGetNumeric(DirectFunctionCall3(numeric_in, CStringGetDatum(psprintf(UINT64_FORMAT, what)),
                                                ObjectIdGetDatum(InvalidOid), Int32GetDatum(-1))));
  }
  void numeric(Numeric what) {
    JsonbValue result;
    result.type = jbvNumeric;
    result.val.numeric = what;
    value(&result);
  }
  void output(PGFunction function, Datum what) { text(DatumGetCString(DirectFunctionCall1(function, what))); }
  void hex(std::string_view bytes) {
    if (bytes.size() > MaxAllocSize / 2 - 8) refuse("a value is too large to be shown");
    auto* shown = static_cast<char*>(palloc(bytes.size() * 2 + 3));
    memcpy(shown, "\\x", 2);
    hex_encode(bytes.data(), bytes.size(), shown + 2);
    text(std::string_view(shown, bytes.size() * 2 + 2));
  }

  JsonbParseState* state_ = nullptr;
  bool is_in_array_ = false;
  SeenRelation* seen_ = nullptr;
  SeenRelation* relation_ = nullptr;  // of the record at hand
};

static_assert(std::is_trivially_destructible_v<Shower>);

}  // namespace
}  // namespace anabranch

ANABRANCH_EXPORTS_BEGIN
extern "C" {
PG_FUNCTION_INFO_V1(anabranch_decode);
}
ANABRANCH_EXPORTS_END

// decode(frames bytea) -> setof jsonb
Datum anabranch_decode(PG_FUNCTION_ARGS) {
  bytea* frame = PG_GETARG_BYTEA_PP(0);
  InitMaterializedSRF(fcinfo, MAT_SRF_USE_EXPECTED_DESC);
  int level = anabranch::pin_output_settings();
  anabranch::Shower shower;
  shower.show_frame(std::string_view(VARDATA_ANY(frame), VARSIZE_ANY_EXHDR(frame)),
                    reinterpret_cast<ReturnSetInfo*>(fcinfo->resultinfo));
  anabranch::unpin_output_settings(level);
  return static_cast<Datum>(0);
}
