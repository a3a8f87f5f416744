// An index in Redis.
#pragma once

#include <memory>

#include "sidecar/index/index.hpp"

namespace anabranch {

// What becomes of a document is told by the option "shape" (redis_shape.hpp); "ttl" lets strings and hashes expire so
// many seconds after they were written; "index" names the index where the copy's name is another index's in the same
// Redis; "slot" lays what is kept about the index into the cluster slot of this hash tag, which its documents' keys
// must then begin with too. What is kept beside the documents: redis_functions.hpp. Options are read by open(), which
// throws IndexError (refused) for those that cannot be understood; drop() needs the name, the owner and "slot" alone.
//
// A document with an equal version is written again, which repairs what others have done to it. A write that finds the
// index made anew since open() (FLUSHALL, a replica without it that took over) fails as unreachable: open() then tells
// the new identity. A generation of another shape removes, when it is opened, what those before it hold.
std::unique_ptr<ExternalIndex> make_redis_index(const IndexSettings& settings, IndexDefinition definition,
                                                const Stop& stop);

}  // namespace anabranch
