// A section [index.NAME] of the settings file: where an engine is and how it is spoken to.
#pragma once

#include <chrono>
#include <cstddef>
#include <map>
#include <string>
#include <vector>

#include "sidecar/net/tls_files.hpp"

namespace anabranch {

struct IndexSettings {
  enum class Kind { opensearch, elasticsearch, redis };
  Kind kind = Kind::opensearch;
  // http:// or https:// of one or several nodes of a search engine; of Redis as
  // redis_address.hpp says. The next one is tried when one cannot be reached.
  std::vector<std::string> urls;
  std::string user;           // empty: none
  std::string password_file;  // holds the password and no more; empty: none
  TlsFiles tls;               // of https:// and rediss:// only
  std::size_t bulk_bytes_max = 5 << 20;
  int in_flight_max = 3;                              // requests with documents at once
  std::chrono::milliseconds refresh_interval{1'000};  // of a search engine: that long what is written may stay unfound
  std::chrono::milliseconds request_timeout{60'000};

  bool operator==(const IndexSettings&) const = default;
};

// By NAME.
using IndexSections = std::map<std::string, IndexSettings>;

}  // namespace anabranch
