// Making a copy: from its definition to the rows of the catalog.
#pragma once

#include "extension/postgres.hpp"

namespace anabranch {

/// What is asked for, and where it will be.
struct Request {
  const char* query;
  const char* search_path;
  bool prepare_sources;
  Oid schema;
  const char* name;
  Oid owner;
  Oid twin_of = InvalidOid;       // the copy beside which it is made
  const char* purpose = nullptr;  // of a twin
  const char* shape = nullptr;    // what the query has to come to; nullptr: anything
};

/// Makes the copy, as the current user, who becomes its owner. Raises with reason and remedy when its query cannot be
/// kept.
Oid create_copy(const Request& request);

}  // namespace anabranch
