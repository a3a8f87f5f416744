// What stands before a key or value whose schema is in a registry.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace anabranch {

// Confluent's frame: a zero byte and the schema's number, big-endian, stand before key or value.
void append_schema_frame(std::string& out, int32_t schema);
// The same for protobuf, where the place of the message in its file follows.
void append_schema_frame(std::string& out, int32_t schema, int message);

// The bytes without the frame, where they have one with a message's place: no message of protobuf begins with a zero
// byte.
std::string_view without_schema_frame(std::string_view bytes);

}  // namespace anabranch
