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
  bool has_documents = false;     // it is of an index outside the database
  List* document_key = NIL;       // String nodes: the outputs by which its documents are found
};

/// What a caller asks for by name and query: the name resolved as CREATE VIEW does, his rights and the name checked.
Request request_of(text* name, text* query, bool prepare_sources);

/// Makes the copy, as the current user, who becomes its owner. Raises with reason and remedy when its query cannot be
/// kept.
Oid create_copy(const Request& request);

}  // namespace anabranch
