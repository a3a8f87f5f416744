// The options of an index, which its kind of engine reads.
#pragma once

#include <initializer_list>

#include "sidecar/index/index.hpp"

namespace anabranch {

// Throws IndexError (refused) where one of `names` is among the options: it means nothing to `kind`, as in "Redis".
void refuse_options(const IndexDefinition& definition, std::initializer_list<const char*> names, const char* kind);

}  // namespace anabranch
