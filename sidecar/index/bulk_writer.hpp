// Writes documents to a search engine in bulk requests.
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <vector>

#include "sidecar/index/bulk_flow.hpp"
#include "sidecar/index/index.hpp"
#include "sidecar/index/search_engine.hpp"

namespace anabranch {

class BulkWriter {
 public:
  // `engine` must outlive it. `alias` leads to the index: where there is no such alias nothing is written, and no index
  // made.
  BulkWriter(SearchEngine& engine, const std::string& alias);

  // As ExternalIndex::write_all(). Whatever an engine puts off is sent again, alone, less at once, for about ten
  // seconds: then IndexError (busy).
  void write_all(DocumentStream& stream, IndexVersion version);

 private:
  class Call;
  SearchEngine& engine_;
  const std::string path_;
  BulkFlow flow_;
};

}  // namespace anabranch
