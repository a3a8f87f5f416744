// The plugin's options, as the client of a slot gives them.
#pragma once

#include "extension/postgres.hpp"

namespace anabranch {

struct Options {
  List* publications = NIL;     // of char*; names that do not exist (yet) select nothing
  List* skipped_origins = NIL;  // of char*
  bool messages = true;
};

// Parses and checks what the client gave (a list of DefElem). The result lives in the current memory context. Raises,
// with the offending value, for options that are unknown, given twice, without value, malformed, or missing.
Options parse_options(List* given);

}  // namespace anabranch
