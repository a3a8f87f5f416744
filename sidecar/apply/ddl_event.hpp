// Rows of anabranch.ddl: how DDL arrives in order with the rows it concerns.
#pragma once

#include "sidecar/apply/consolidate.hpp"

namespace anabranch {

// Whether this is the extension's table anabranch.ddl.
bool is_ddl_relation(const Relation& relation);

// An insert into it, read by the names of its columns; xid and commit_lsn are left to the caller. Throws
// LogError(unsupported) when a column is not of the form that this version knows.
DdlEvent read_ddl_event(const Change& change);

}  // namespace anabranch
