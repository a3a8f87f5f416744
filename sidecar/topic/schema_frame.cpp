#include "sidecar/topic/schema_frame.hpp"

#include "decoder/wire.hpp"

namespace anabranch {
namespace {

constexpr size_t number_frame_size = 5;  // zero byte, schema's number

}  // namespace

void append_schema_frame(std::string& out, int32_t schema) {
  const auto number = static_cast<uint32_t>(schema);
  out += '\0';
  for (const int shift : {24, 16, 8, 0}) out += static_cast<char>(number >> shift & 0xff);
}

void append_schema_frame(std::string& out, int32_t schema, int message) {
  append_schema_frame(out, schema);
  if (message == 0) {
    out += '\0';  // the first message of the file has a short form
    return;
  }
  char index[11];
  wire::Writer writer(index);
  writer.varint(wire::zigzag(1));
  writer.varint(wire::zigzag(message));
  out.append(index, writer.at());
}

std::string_view without_schema_frame(std::string_view bytes) {
  if (bytes.size() <= number_frame_size || bytes[0] != '\0') return bytes;
  auto rest = bytes.substr(number_frame_size);
  // How many numbers the message's place has, and those; the first message of a file is a single zero.
  size_t numbers = 1;
  for (bool is_count = true; numbers > 0 && !rest.empty(); is_count = false) {
    uint64_t value = 0;
    for (unsigned shift = 0; !rest.empty() && shift < 64; shift += 7) {
      const auto byte = static_cast<uint8_t>(rest[0]);
      rest.remove_prefix(1);
      value |= static_cast<uint64_t>(byte & 0x7f) << shift;
      if (byte < 0x80) break;
    }
    numbers = is_count ? static_cast<size_t>(wire::unzigzag(value)) : numbers - 1;
  }
  return rest;
}

}  // namespace anabranch
