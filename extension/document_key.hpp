// The key of an index's documents: where in the state table its columns are.
#pragma once

#include "extension/query.hpp"

namespace anabranch {

/// For each output named in `names` (String nodes) its place among Statements::key_names, from 0, as an int list.
/// Raises with the remedy when an output is not there or is named twice, when one is an expression over groups, whose
/// old value nobody could tell, and when a group is left out, so that several rows had one key. To be called before
/// make_statements.
List* document_key_places(const Definition& definition, List* names);

}  // namespace anabranch
