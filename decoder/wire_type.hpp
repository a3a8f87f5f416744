// Which wire type a value's field has: for those who write rows and those who read them by hand.
#pragma once

#include "decoder/format.hpp"
#include "decoder/wire.hpp"

namespace anabranch {

inline wire::Type wire_type(Encoding encoding) {
  switch (encoding) {
    case Encoding::float4:
      return wire::Type::fixed32;
    case Encoding::float8:
      return wire::Type::fixed64;
    case Encoding::text:
    case Encoding::bytes:
    case Encoding::raw_text:
      return wire::Type::bytes;
    default:
      return wire::Type::varint;
  }
}

}  // namespace anabranch
