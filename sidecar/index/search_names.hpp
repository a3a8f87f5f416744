// The names that an index has at a search engine: one for its readers, and two for each generation.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "sidecar/index/index.hpp"

namespace anabranch {

// The alias by which readers find the index: the option "index", or the copy's name. Throws IndexError (refused) where
// engines do not take it.
std::string reader_alias(const IndexDefinition& definition);

// The index of a generation, as in "products-000001".
std::string generation_name(const std::string& alias, int64_t generation);
// The generation of an index with such a name; nullopt: it has another.
std::optional<int64_t> generation_of(std::string_view name, std::string_view alias);

// The alias by which a generation is written to. A bulk request to what does not exist has an engine make it, unless it
// says that it names an alias: so none is ever made by a late write.
std::string writer_alias(const std::string& generation_name);

}  // namespace anabranch
