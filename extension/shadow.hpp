// Shadow relations: empty tables with the columns of a source, over which definitions are analysed.
//
// A definition made over the source itself would depend on it, and block its owner's DDL. A shadow has the same columns
// under the same attribute numbers (a dropped column is a dropped one there too), with type, type modifier and
// collation; no defaults, constraints or rows. All copies of a source share its shadow. After DDL the event trigger
// makes a shadow that differs anew, under its old name: an empty table needs no ALTER.
#pragma once

#include "extension/postgres.hpp"

namespace anabranch {

/// Finds or makes the shadow of `relation` and returns its OID. The caller holds a lock on `relation`; any user may
/// call. The shadow lives until drop_unused_shadows finds that no definition names it.
Oid shadow_for(Oid relation);

}  // namespace anabranch
