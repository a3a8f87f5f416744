// Avro's binary encoding, appended to a string. An encoding of a few lines: Debian's library for C builds a tree of
// values for each record, which costs more than the rest of publishing it.
#pragma once

#include <bit>
#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>

#include "decoder/wire.hpp"

namespace anabranch {

// int and long; also the index of a union's branch.
inline void append_avro_long(std::string& out, int64_t value) {
  char bytes[10];
  wire::Writer writer(bytes);
  writer.varint(wire::zigzag(value));
  out.append(bytes, writer.at());
}

inline void append_avro_boolean(std::string& out, bool value) {
  out += value ? '\1' : '\0';
}

// float and double, from their bits.
inline void append_avro_float(std::string& out, uint32_t bits) {
  char bytes[4];
  std::memcpy(bytes, &bits, sizeof(bytes));
  out.append(bytes, sizeof(bytes));
}
inline void append_avro_double(std::string& out, uint64_t bits) {
  char bytes[8];
  std::memcpy(bytes, &bits, sizeof(bytes));
  out.append(bytes, sizeof(bytes));
}

// bytes and string.
inline void append_avro_bytes(std::string& out, std::string_view value) {
  append_avro_long(out, static_cast<int64_t>(value.size()));
  out += value;
}

}  // namespace anabranch
