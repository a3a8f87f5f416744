// Replication origins by name: which changes are left out before they are queued.
#pragma once

#include "extension/postgres.hpp"

#include <type_traits>

namespace anabranch {

// The origins that the option skip_origins names. An origin's name is looked up when its first change comes by, so it
// may be created after the session has started.
class OriginFilter {
 public:
  // Lives in `context`; `names` is a list of char*.
  void open(MemoryContext context, List* names);

  // Whether changes of this origin are to be left out. Called outside of transactions too.
  bool skips(RepOriginId origin);

  // Callback: the names may have changed.
  void forget();

 private:
  enum Known : uint8 { unknown = 0, taken = 1, skipped = 2 };

  bool is_named(RepOriginId origin);

  List* names_;
  uint8* known_;  // by number of the origin; null: no names
};

static_assert(std::is_trivially_destructible_v<OriginFilter>);

// Name of an origin, UTF-8; empty for changes made here and for origins that are gone. Needs a transaction.
const char* origin_name(RepOriginId origin);

}  // namespace anabranch
