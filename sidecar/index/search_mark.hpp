// What stands beside each document in a search engine, in one doc value, "anabranch.mark": a value of its own for each
// of these would cost the engine a fifth of its time.
//
//   version  8 bytes, the highest first: the one that the document was written with. The engine counts it on with each
//            write by somebody else, so then it has another
//   length   1 byte: how long the digest is
//   digest   of the contents, as the extension makes it; of what is deleted, empty
//   key      as JSON
//
// There for good. As the engine takes bytes: in base64.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "sidecar/index/index.hpp"

namespace anabranch {

struct SearchMark {
  IndexVersion version;
  std::string digest, key;
};

// Appends the document's mark as a value in JSON. Its digest has at most 255 bytes.
void append_mark(std::string& json, const Document& document, IndexVersion version);
// Of a doc value; nullopt for what is no mark.
std::optional<SearchMark> read_mark(std::string_view base64);

}  // namespace anabranch
