// The field numbers of delta.proto, for the sidecar, which writes the bytes by hand, and the extension, which reads
// them. One contract with that file: a unit test compares the two. There for good.
#pragma once

#include <cstdint>

namespace anabranch::fields {

namespace delta {
enum : uint32_t { truncate = 1, rows = 2 };
}
namespace row {
enum : uint32_t { source = 1, weight = 2, row = 3, xid = 4 };
}

}  // namespace anabranch::fields
