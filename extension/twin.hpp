// Twins: a copy beside a copy, to be compared with it or to take its place.
#pragma once

#include "extension/postgres.hpp"

namespace anabranch {

/// Has a copy of the query made beside `copy`, as its owner, who must be the caller; `swap`: it takes the copy's place
/// when it has been compared. Returns the number of the run, a bigint.
Datum replace_query(Oid copy, text* query, bool swap);

}  // namespace anabranch
