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
#include "sidecar/index/search_mark.hpp"

namespace anabranch {

// What a search found of a document, by doc values and the engine's own record.
struct SearchHit {
  std::string id;                       // empty where it was not asked for
  std::optional<IndexVersion> version;  // the engine's
  std::optional<int64_t> number;        // _seq_no: what the hits were sorted by; nullopt where they were not
  std::optional<SearchMark> mark;       // ours, with a key that one of our documents may have
  bool deleted = false;                 // a tombstone
};

// The hits of a search's answer, which may be anything; what is no hit is left out.
std::vector<SearchHit> read_hits(const nlohmann::json& answer);

// As ExternalIndex::inspect(), scan() and extra(), of the index `name`; what was written until the call of inspect and
// the first of scan is seen.
//
// The engine keeps _id beside _source: whoever asks for the one reads the other. So documents are known by their key,
// which stands in a column, the mark, and the _id is asked for where that does not tell.
//
// A scan goes through one shard after the other in the order of _seq_no, the number that each write there gets, up to
// the highest that there was when it came to the shard. No context at the engine has to be kept alive for it, and it
// goes on after any pause.
std::vector<FoundDocument> inspect_index(SearchEngine& engine, const std::string& name,
                                         std::span<const Document> expected);
HeldPage scan_index(SearchEngine& engine, const std::string& name, const std::string& after);
std::vector<HeldDocument> extra_of_index(SearchEngine& engine, const std::string& name, const HeldPage& page,
                                         std::span<const Document> expected);

// Whatever was written is found when this returns.
void refresh_index(SearchEngine& engine, const std::string& name);

}  // namespace anabranch
