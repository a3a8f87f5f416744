#include "sidecar/index/hash_fields.hpp"

#include <new>

#include <simdjson.h>

namespace anabranch {

// Not by nlohmann's parser, which looks at each character by itself: it took half of the sidecar's time for a hash.
bool read_hash_fields(std::string_view content,
                      const std::function<void(std::string_view name, std::string_view value)>& take) {
  thread_local simdjson::dom::parser parser;  // keeps its memory through a turn, whose documents one thread writes
  simdjson::dom::object fields;
  const auto failure = parser.parse(content.data(), content.size()).get(fields);
  if (failure == simdjson::MEMALLOC) throw std::bad_alloc();  // that is not the document's fault
  if (failure != simdjson::SUCCESS) return false;
  for (const auto [name, value] : fields) {
    std::string_view text;
    if (value.get(text) != simdjson::SUCCESS) return false;
    take(name, text);
  }
  return true;
}

}  // namespace anabranch
