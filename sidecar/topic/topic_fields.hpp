// The numbers of topic.proto that are written by hand: one contract with that file, for good; a unit test parses what
// is written with protoc's classes.
#pragma once

#include <cstdint>

namespace anabranch {

// The formats of Part.format and Progress.format that this version writes and reads.
inline constexpr uint32_t topic_format = 1;

}  // namespace anabranch

namespace anabranch::topic_fields {

namespace row {
enum : uint32_t {
  operation = 1,
  before_kind = 2,
  before = 3,
  after = 4,
  unchanged = 5,
  omitted_before = 6,
  omitted_after = 7,
  leaf = 8,
  cascade = 9,
  restart_identity = 10,
};
}
namespace omitted {
enum : uint32_t { number = 1, sqlstate = 2, reason = 3 };
}

}  // namespace anabranch::topic_fields
