// The publication that selects what the decoder sends.
#pragma once

#include "extension/postgres.hpp"

namespace anabranch {

/// Sees to it that every change of `table` is published, partitions under their root. The publication is the recorded
/// source's, or `anabranch`, and is made when there is none. Putting a table into it needs the table's owner as current
/// user, and is then done as the extension's owner. Raises when the publication leaves some changes or columns out.
void publish_table(Oid table);

}  // namespace anabranch
