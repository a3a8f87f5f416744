#include "sidecar/index/index_options.hpp"

#include <fmt/format.h>

namespace anabranch {

void refuse_options(const IndexDefinition& definition, std::initializer_list<const char*> names, const char* kind) {
  for (const char* name : names)
    if (definition.options.contains(name))
      throw IndexError(IndexError::Kind::refused, fmt::format("the option \"{}\" means nothing to {}", name, kind),
                       "leave it out with anabranch.alter_index, or name an engine of another kind");
}

}  // namespace anabranch
