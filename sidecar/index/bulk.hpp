// Bulk requests of search engines as bytes, and their answers.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "sidecar/index/index.hpp"

namespace anabranch {

// Engines take no longer _id.
inline constexpr std::size_t id_bytes_max = 512;

// Appends the two lines that write a document, or its tombstone. Its content is copied as it is but for line feeds,
// which JSON has only where they mean nothing. The content must be a JSON object without a member "anabranch".
void append_bulk_item(std::string& body, const Document& document, IndexVersion version);

struct BulkItemResult {
  enum class Fate {
    done,     // written, or a newer version is there
    retry,    // the engine asks for time
    refused,  // this document will never be taken
    blocked,  // the index takes no writes for now: a full disk, closed
    missing,  // there is no such index
    denied    // we may not write to it
  };
  Fate fate = Fate::done;
  std::string reason;  // the engine's, in one line; empty when done
};

// What became of each item of a request, in order. The answer may hold any bytes; throws IndexError (unreachable) when
// it is none to a request of `items` items.
std::vector<BulkItemResult> read_bulk_answer(std::string_view answer, std::size_t items);

// What a bulk request has to ask for to be understood here: an answer without what nobody reads.
inline constexpr std::string_view bulk_filter_path =
    "filter_path=errors,error,status,items.*.status,items.*.error.type,items.*.error.reason,items.*.error.caused_by."
    "reason";

}  // namespace anabranch
