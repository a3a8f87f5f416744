// The fields of a protobuf message as typed values, for every reader of records: the decoder's and the topics'. All
// throw LogError(damaged) on bytes that no writer of ours produces, and LogError(unsupported) on a number of an
// enumeration that this version does not know.
#pragma once

#include <cstdint>
#include <limits>
#include <string_view>
#include <vector>

#include <fmt/format.h>

#include "decoder/wire.hpp"
#include "sidecar/log/change_log.hpp"

namespace anabranch::record_fields {

using wire::Field;
using wire::Type;

[[noreturn]] inline void throw_damaged(std::string_view what) {
  throw LogError(LogError::Kind::damaged, fmt::format("damaged record: {}", what));
}

// Calls `body` for each field of a message. It passes over a field it does not know: a newer writer may have added it.
template <typename Body>
void read_fields(std::string_view message, std::string_view name, Body body) {
  wire::Reader reader(message);
  Field field;
  while (reader.next(field)) body(field);
  if (reader.damaged())
    throw_damaged(fmt::format("{} breaks off or holds no field {} bytes before its end", name, reader.left()));
}

// The three kinds of value that our records use; another wire type under a known number is damage.
inline uint64_t number_of(const Field& field) {
  if (field.type != Type::varint) throw_damaged(fmt::format("field {} is no number", field.number));
  return field.value;
}

inline std::string_view bytes_of(const Field& field) {
  if (field.type != Type::bytes) throw_damaged(fmt::format("field {} is no string of bytes", field.number));
  return field.bytes;
}

inline uint32_t number32_of(const Field& field) {
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
inline void append_numbers(const Field& field, std::vector<uint32_t>& numbers) {
  if (field.type == Type::varint) {
    numbers.push_back(number32_of(field));
    return;
  }
  wire::Varints packed(bytes_of(field));
  uint64_t value = 0;
  while (packed.next(value)) {
    if (value > std::numeric_limits<uint32_t>::max()) throw_damaged("a list of numbers holds one of more than 32 bits");
    numbers.push_back(static_cast<uint32_t>(value));
  }
  if (packed.damaged()) throw_damaged("a list of numbers breaks off");
}

}  // namespace anabranch::record_fields
