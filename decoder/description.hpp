// The Relation record: what a reader has to know of a relation before its rows.
#pragma once

#include "extension/postgres.hpp"

#include <string_view>

#include "decoder/row.hpp"

namespace anabranch {

// The body of the Relation record for rows published as `root` with these columns, in the current memory context. Reads
// the catalogs: types, and the generation from the table anabranch.generation where there is one.
std::string_view describe_relation(Relation root, char replica_identity, const Column* columns, int column_count);

// How often a column of the relation has changed its type, as counted in the user catalog table
// anabranch.generation(relation oid, generation int4); 0 when it is not counted.
uint32_t read_generation(Oid relation);

}  // namespace anabranch
