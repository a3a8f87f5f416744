// What an index of a search engine is made with: the mapping of a copy's columns, and the settings.
#pragma once

#include <string_view>

#include <nlohmann/json.hpp>

#include "sidecar/index/index.hpp"

namespace anabranch {

// The field in which documents carry what we have to know of them: key, digest, version, and whether they are
// tombstones. These names are in indexes for good.
inline constexpr std::string_view own_field = "anabranch";

// The explicit mapping: of each column by its type; an array is mapped as its elements are. Only these fields may be in
// a document; inside of a json or jsonb column new ones may appear, and the first value of each decides its type there.
// Values that a number or date field cannot hold ("NaN", "infinity") are kept in the document and not searchable. A
// json column that holds anything but objects needs a mapping of its own, such as {"type":"object","enabled":false}.
//
// The option "mapping" has what is to differ, by column: a mapping of another type replaces ours, other members are
// merged into it (null removes one). Further names become fields as they are: an alias, a target of copy_to, what an
// ingest pipeline adds.
//
// Throws IndexError (refused) for a column named as our own field, and for an option that is not of that shape.
nlohmann::json mapping_of(const IndexDefinition& definition);

// Members of the option "settings" over ours, with "index." before their names, in an object "index", or without.
nlohmann::json settings_of(const IndexDefinition& definition);

}  // namespace anabranch
