// Which partition a key belongs to.
#pragma once

#include <cstdint>
#include <string_view>

namespace anabranch {

// As the Java client's default partitioner, and librdkafka's "murmur2": a table's records lie where a producer of
// another language would put records with the same key, so joins by partition work. `partitions` > 0.
int32_t partition_of(std::string_view key, int32_t partitions);

}  // namespace anabranch
