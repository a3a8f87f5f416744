// Reads what an index of a search engine holds, without the documents themselves.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "sidecar/index/index.hpp"
#include "sidecar/index/search_engine.hpp"

namespace anabranch {

// What a search found of a document, by doc values and the engine's own record.
struct SearchHit {
  std::string id;
  std::optional<IndexVersion> version;      // the engine's
  std::optional<int64_t> number;            // _seq_no: what the hits were sorted by; nullopt where they were not
  std::string key, digest;                  // ours; empty where it has none
  std::optional<IndexVersion> own_version;  // the one we wrote
  bool deleted = false;                     // a tombstone
};

// The hits of a search's answer, which may be anything; what is no hit is left out.
std::vector<SearchHit> read_hits(const nlohmann::json& answer);

// As ExternalIndex::inspect() and scan(), of the index `name`; what was written until the call is seen.
//
// A scan goes through one shard after the other in the order of _seq_no, the number that each write there gets, up to
// the highest that there was when it came to the shard. No context at the engine has to be kept alive for it, and it
// goes on after any pause.
std::vector<FoundDocument> inspect_index(SearchEngine& engine, const std::string& name,
                                         std::span<const Document> expected);
HeldPage scan_index(SearchEngine& engine, const std::string& name, const std::string& after);

// Whatever was written is found when this returns.
void refresh_index(SearchEngine& engine, const std::string& name);

}  // namespace anabranch
