#include "extension/postgres.hpp"

#include "decoder/value.hpp"

#include <limits>

namespace anabranch {

namespace {

struct Setting {
  const char* name;
  const char* value;
};

// Input depends on array_nulls and xmloption; output on the rest.
constexpr Setting pinned_settings[] = {
    {"search_path", ""},      {"datestyle", "ISO, YMD"},   {"intervalstyle", "postgres"},
    {"timezone", "UTC"},      {"extra_float_digits", "1"}, {"bytea_output", "hex"},
    {"lc_monetary", "C"},     {"xmlbinary", "base64"},     {"quote_all_identifiers", "off"},
    {"xmloption", "content"}, {"array_nulls", "on"},
};

Encoding text_encoding() {
  return GetDatabaseEncoding() == PG_SQL_ASCII ? Encoding::raw_text : Encoding::text;
}

[[noreturn]] void refuse(const ValueType& type, const wire::Field& field) {
  ereport(ERROR, (errcode(ERRCODE_DATA_CORRUPTED), errmsg("field %u of a row does not hold a value of type %s",
                                                          field.number, format_type_be(type.type))));
  pg_unreachable();
}

template <typename Integer>
Integer read_integer(const ValueType& type, const wire::Field& field) {
  int64_t value = wire::unzigzag(field.value);
  if (value < std::numeric_limits<Integer>::min() || value > std::numeric_limits<Integer>::max()) refuse(type, field);
  return static_cast<Integer>(value);
}

Datum make_varlena(std::string_view bytes) {
  return PointerGetDatum(cstring_to_text_with_len(bytes.data(), static_cast<int>(bytes.size())));
}

Datum read_text(ValueType& type, const wire::Field& field) {
  if (field.bytes.size() > MaxAllocSize - VARHDRSZ - 1 || memchr(field.bytes.data(), 0, field.bytes.size()))
    refuse(type, field);
  // The conversion wants a terminated string when it has work to do, and hands back its argument when it has none.
  std::string_view text = field.bytes;
  if (type.encoding == Encoding::text) {
    char* given = const_cast<char*>(text.data());
    char* converted = pg_any_to_server(given, static_cast<int>(text.size()), PG_UTF8);
    if (converted != given) text = std::string_view(converted, strlen(converted));
  } else {
    pg_verify_mbstr(GetDatabaseEncoding(), text.data(), static_cast<int>(text.size()), false);
  }
  if (type.input.fn_oid == InvalidOid) {
    Oid function;
    getTypeInputInfo(type.base, &function, &type.input_parameter);
    fmgr_info_cxt(function, &type.input, type.context);
  }
  // Without a type modifier these three take any text as it is.
  PGFunction function = type.input.fn_addr;
  if (function == textin || function == varcharin || function == bpcharin) return make_varlena(text);
  return InputFunctionCall(&type.input, pnstrdup(text.data(), text.size()), type.input_parameter, -1);
}

bool is_ascii(const Value& value) {
  for (size_t i = 0; i < value.size; ++i)
    if (static_cast<unsigned char>(value.data[i]) >= 0x80) return false;
  return true;
}

// Text of any length, in pieces: the conversion's own interface asks for four times the room.
bool convert_to_utf8(Value* value) {
  if (is_ascii(*value)) return true;  // the same in every encoding that a database can have
  int encoding = GetDatabaseEncoding();
  Oid conversion = FindDefaultConversionProc(encoding, PG_UTF8);
  if (!OidIsValid(conversion)) return false;
  constexpr size_t piece_size_max = 64 * 1024;
  int piece_size = static_cast<int>(Min(value->size, piece_size_max));
  int room = piece_size * MAX_CONVERSION_GROWTH + 1;
  auto* piece = static_cast<unsigned char*>(palloc(room));
  StringInfoData result;
  initStringInfo(&result);
  auto* at = reinterpret_cast<unsigned char*>(const_cast<char*>(value->data));
  size_t left = value->size;
  while (left > 0) {
    int given = static_cast<int>(Min(left, static_cast<size_t>(piece_size)));
    int converted = pg_do_encoding_conversion_buf(conversion, encoding, PG_UTF8, at, given, piece, room, true);
    // A piece may end inside a character, which then stays for the next one.
    if (converted <= 0) return false;
    size_t size = strlen(reinterpret_cast<char*>(piece));
    if (size > MaxAllocSize - 1 - static_cast<size_t>(result.len)) return false;
    appendBinaryStringInfo(&result, reinterpret_cast<char*>(piece), static_cast<int>(size));
    at += converted;
    left -= static_cast<size_t>(converted);
  }
  value->data = result.data;
  value->size = static_cast<size_t>(result.len);
  return true;
}

}  // namespace

Encoding classify_type(Oid type, Oid* base) {
  *base = getBaseType(type);
  switch (*base) {
    case BOOLOID:
      return Encoding::boolean;
    case INT2OID:
    case INT4OID:
    case INT8OID:
      return Encoding::integer;
    case OIDOID:
    // As text they would be names, which mean something else when an object gets another name before they are read.
    case REGCLASSOID:
    case REGCOLLATIONOID:
    case REGCONFIGOID:
    case REGDICTIONARYOID:
    case REGNAMESPACEOID:
    case REGOPEROID:
    case REGOPERATOROID:
    case REGPROCOID:
    case REGPROCEDUREOID:
    case REGROLEOID:
    case REGTYPEOID:
      return Encoding::oid;
    case FLOAT4OID:
      return Encoding::float4;
    case FLOAT8OID:
      return Encoding::float8;
    case BYTEAOID:
      return Encoding::bytes;
    case DATEOID:
      return Encoding::date;
    case TIMEOID:
      return Encoding::time;
    case TIMESTAMPOID:
    case TIMESTAMPTZOID:
      return Encoding::timestamp;
    default:
      return text_encoding();
  }
}

ValueType describe_value(Oid oid, MemoryContext context) {
  ValueType type;
  type.type = oid;
  type.context = context;
  type.encoding = classify_type(oid, &type.base);
  type.length = get_typlen(type.base);
  if (type.encoding == Encoding::text || type.encoding == Encoding::raw_text) {
    Oid function;
    bool is_varlena;
    getTypeOutputInfo(type.base, &function, &is_varlena);
    fmgr_info_cxt(function, &type.output, context);
    // By address, so that types which borrow these functions (citext) are seen too.
    PGFunction address = type.output.fn_addr;
    type.output_is_payload = type.length == -1 && (address == textout || address == varcharout ||
                                                   address == bpcharout || address == json_out);
  }
  return type;
}

bool stored_bytes(Datum datum, Value* value) {
  auto* stored = reinterpret_cast<varlena*>(DatumGetPointer(datum));
  while (VARATT_IS_EXTERNAL_INDIRECT(stored)) {
    varatt_indirect redirect;
    VARATT_EXTERNAL_GET_POINTER(redirect, stored);
    stored = redirect.pointer;
  }
  if (VARATT_IS_EXTERNAL(stored) || VARATT_IS_COMPRESSED(stored)) return false;
  value->data = VARDATA_ANY(stored);
  value->size = VARSIZE_ANY_EXHDR(stored);
  return true;
}

Value output_value(ValueType& type, Datum datum) {
  Value value;
  if (type.output_is_payload || type.encoding == Encoding::bytes) {
    if (!stored_bytes(datum, &value))
      stored_bytes(PointerGetDatum(detoast_attr(reinterpret_cast<varlena*>(DatumGetPointer(datum)))), &value);
    return value;
  }
  value.data = OutputFunctionCall(&type.output, datum);
  value.size = strlen(value.data);
  return value;
}

bool text_to_utf8(Value* value) {
  int encoding = GetDatabaseEncoding();
  if (encoding != PG_UTF8) return convert_to_utf8(value);
  return value->size <= INT_MAX && pg_verify_mbstr(PG_UTF8, value->data, static_cast<int>(value->size), true);
}

Value prepare_value(ValueType& type, Datum datum) {
  if (!holds_bytes(type.encoding)) return prepare_scalar(type, datum);
  Value value = output_value(type, datum);
  bool is_utf8_already = type.output_is_payload && GetDatabaseEncoding() == PG_UTF8;
  if (type.encoding == Encoding::text && !is_utf8_already && !text_to_utf8(&value))
    ereport(ERROR, (errcode(ERRCODE_UNTRANSLATABLE_CHARACTER),
                    errmsg("a value of type %s has no equivalent in encoding \"UTF8\"", format_type_be(type.type))));
  return value;
}

Datum read_value(ValueType& type, const wire::Field& field) {
  if (field.type != wire_type(type.encoding)) refuse(type, field);
  switch (type.encoding) {
    case Encoding::text:
    case Encoding::raw_text:
      return read_text(type, field);
    case Encoding::bytes:
      if (field.bytes.size() > MaxAllocSize - VARHDRSZ) refuse(type, field);
      return make_varlena(field.bytes);
    case Encoding::boolean:
      if (field.value > 1) refuse(type, field);
      return BoolGetDatum(field.value != 0);
    case Encoding::oid:
      if (field.value > PG_UINT32_MAX) refuse(type, field);
      return ObjectIdGetDatum(static_cast<Oid>(field.value));
    case Encoding::float4:
      return Float4GetDatum(std::bit_cast<float4>(static_cast<uint32_t>(field.value)));
    case Encoding::float8:
      return Float8GetDatum(std::bit_cast<float8>(field.value));
    case Encoding::integer:
    case Encoding::date:
    case Encoding::time:
    case Encoding::timestamp:
      if (type.length == 2) return Int16GetDatum(read_integer<int16>(type, field));
      if (type.length == 4) return Int32GetDatum(read_integer<int32>(type, field));
      return Int64GetDatum(wire::unzigzag(field.value));
  }
  refuse(type, field);
}

int pin_output_settings() {
  int level = IsTransactionState() ? NewGUCNestLevel() : 0;
  for (const Setting& setting : pinned_settings)
    set_config_option(setting.name, setting.value, PGC_USERSET, PGC_S_SESSION, GUC_ACTION_SAVE, true, 0, false);
  return level;
}

void unpin_output_settings(int level) {
  if (level > 0) AtEOXact_GUC(true, level);
}

}  // namespace anabranch
