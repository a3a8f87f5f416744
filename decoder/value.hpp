// How a value of any type stands in a row: the one rule that the decoder writes by and the extension reads by.
//
// A type is described once (describe_value), then each value is prepared (prepare_value), measured (value_field_size)
// and written (write_value). Both server libraries compile this file; it knows nothing of logical decoding.
#pragma once

#include "extension/postgres.hpp"

#include <string_view>
#include <type_traits>

#include "decoder/format.hpp"
#include "decoder/wire_type.hpp"

namespace anabranch {

// How values of one type are written and read. Made by describe_value; lives as long as the memory context given there.
struct ValueType {
  Oid type = InvalidOid;  // as the column says
  Oid base = InvalidOid;  // the same with domains taken off
  Encoding encoding = Encoding::text;
  bool output_is_payload = false;  // text whose output is the value's own bytes: written without the output function
  int16 length = 0;                // pg_type.typlen
  FmgrInfo output = {};            // of text encodings; fn_oid is InvalidOid otherwise
  FmgrInfo input = {};             // of text encodings, looked up by the first read_value
  Oid input_parameter = InvalidOid;
  MemoryContext context = nullptr;
};

// A value ready to be written: the bits of a scalar, or bytes. The bytes belong to the Datum it was prepared from or to
// the memory context that was current then.
struct Value {
  uint64_t bits = 0;
  const char* data = nullptr;
  size_t size = 0;
};

static_assert(std::is_trivially_destructible_v<ValueType> && std::is_trivially_destructible_v<Value>);

// Encoding of a type; takes domains off and stores the type below them in `base`. Reads the catalogs; raises when there
// is no such type.
Encoding classify_type(Oid type, Oid* base);

// Describes a type; what the description needs is kept in `context`. Reads the catalogs. Raises when there is no such
// type or its output function cannot be loaded.
ValueType describe_value(Oid type, MemoryContext context);

inline bool holds_bytes(Encoding encoding) {
  return encoding == Encoding::text || encoding == Encoding::bytes || encoding == Encoding::raw_text;
}

// The bytes of a bytea or text as they are kept, when that is possible without copying: not compressed and not out of
// line. Values that logical decoding has put together from their pieces count as such. Returns false otherwise.
bool stored_bytes(Datum datum, Value* value);

// Prepares a value of a type that is neither text nor bytes. Cannot fail.
inline Value prepare_scalar(const ValueType& type, Datum datum) {
  Value value;
  switch (type.encoding) {
    case Encoding::boolean:
      value.bits = DatumGetBool(datum);
      break;
    case Encoding::oid:
      value.bits = DatumGetObjectId(datum);
      break;
    case Encoding::float4:
      value.bits = DatumGetUInt32(datum);
      break;
    case Encoding::float8:
      value.bits = DatumGetUInt64(datum);
      break;
    default:
      value.bits = wire::zigzag(type.length == 8   ? DatumGetInt64(datum)
                                : type.length == 4 ? DatumGetInt32(datum)
                                                   : DatumGetInt16(datum));
  }
  return value;
}

// The value as its type's output function prints it, in the server's encoding, or its plain bytes. Runs output
// functions and takes values out of TOAST, so it may raise. Settings must be pinned.
Value output_value(ValueType& type, Datum datum);

// Prepares any value: text in UTF-8. Raises when an output function does and when text has no equivalent in UTF-8.
Value prepare_value(ValueType& type, Datum datum);

// Converts text from the server's encoding to UTF-8 (a no-op where they are one). Returns false, and raises nothing,
// when the text has no equivalent in UTF-8 or is not valid. The result is in the current memory context if it had to be
// made.
bool text_to_utf8(Value* value);

// Bytes of the field with tag (and length).
inline size_t value_field_size(uint32_t number, const ValueType& type, const Value& value) {
  switch (wire_type(type.encoding)) {
    case wire::Type::bytes:
      return wire::bytes_field_size(number, value.size);
    case wire::Type::fixed32:
      return wire::fixed32_field_size(number);
    case wire::Type::fixed64:
      return wire::fixed64_field_size(number);
    default:
      return wire::varint_field_size(number, value.bits);
  }
}

// Writes the field; the writer must have room for value_field_size() bytes.
inline void write_value(wire::Writer& writer, uint32_t number, const ValueType& type, const Value& value) {
  switch (wire_type(type.encoding)) {
    case wire::Type::bytes:
      writer.bytes_field(number, value.data, value.size);
      break;
    case wire::Type::fixed32:
      writer.fixed32_field(number, static_cast<uint32_t>(value.bits));
      break;
    case wire::Type::fixed64:
      writer.fixed64_field(number, value.bits);
      break;
    default:
      writer.varint_field(number, value.bits);
  }
}

// Reads a field that write_value wrote; pass-by-reference results are in the current memory context. Text is converted
// from UTF-8 to the server's encoding and goes through the base type's input function, so the caller must have pinned
// the settings. Raises data_corrupted when the field does not hold such a value, and whatever the input function
// raises.
Datum read_value(ValueType& type, const wire::Field& field);

// Pins every setting that text output and input depend on (docs/wire-format.md lists them). Inside a transaction the
// settings last until unpin_output_settings() is given the result, or until the error that ends it; outside of one they
// last for the session and the result is 0.
int pin_output_settings();
void unpin_output_settings(int level);

}  // namespace anabranch
