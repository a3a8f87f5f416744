// An index of OpenSearch or Elasticsearch.
#pragma once

#include <memory>

#include "sidecar/index/index.hpp"

namespace anabranch {

// Options: "index", its name for readers (the copy's name), "mapping" and "settings" (mapping.hpp).
//
// Readers find an alias of that name from the first publish() on. Each generation is an index of its own behind it,
// "NAME-000001", made by open(), with its owner in the mapping's _meta: an index that has not ours there is never
// touched. Readers see documents as they are in the copy, with a further field "anabranch" for our own use.
//
// Throws IndexError (refused) for addresses that cannot be understood; open() does for options. drop() needs the name
// and the owner alone: of a name that no engine takes there is nothing to remove.
std::unique_ptr<ExternalIndex> make_search_index(const IndexSettings& settings, IndexDefinition definition,
                                                 const Stop& stop);

}  // namespace anabranch
