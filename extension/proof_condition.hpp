// Which groups, or rows, of a copy are compared: conditions for ProofScope.
#pragma once

#include "extension/postgres.hpp"

#include "extension/copy.hpp"

namespace anabranch {

/// The condition, over c1, c2, ..., that a group, or row, is in one of these buckets.
const char* bucket_condition(const Copy* copy, int buckets, const int64* chosen, int count);

/// The condition that a group, or row, has the values of one of these objects: [{"customer": 7}, ...]. A scalar stands
/// for the value of the only group column. To be made as the copy's owner, as values are read by their types. Raises
/// invalid_parameter_value for what is no such list.
const char* keys_condition(const Copy* copy, Datum keys);

}  // namespace anabranch
