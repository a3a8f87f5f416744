// Compares an index outside the database with its copy while both change, and puts right what differs.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "sidecar/index/turn.hpp"

namespace anabranch {

struct IndexDifference {
  std::string key;               // JSON
  std::string kind;              // missing, extra, wrong, foreign, stale
  std::string expected, actual;  // JSON where they can be shown; else empty
  bool repaired = false;
};

struct IndexComparison {
  int64_t compared = 0, differing = 0, repaired = 0;
  Lsn lsn;  // of the last turn
};

struct ComparisonOptions {
  std::vector<std::string> keys;  // JSON objects; empty: all documents
  bool repairs = false;
  int64_t repaired_before = 0;  // by an attempt that was cut off; they count as differing, too
  double duty = 1;              // share of the time in which deliveries may have to wait
  int64_t differences_max = 0;
  // Called before each step: with what is waited for, or empty. Throws to end the comparison.
  std::function<void(const std::string& waiting)> note;
  // What has been found since the last call, with the counts of all.
  std::function<void(const IndexComparison&, const std::vector<IndexDifference>&)> record;
};

// Method, in turns (turn.hpp), so that nobody else writes to the index:
//   1. Documents are read from the copy in the order of their keys, and the index is asked for the same. What differs
//      is a difference, unless its key is pending: then it is looked at again later.
//   2. The index is read page by page, and the copy is asked for the keys: what it does not have is too much.
//   3. Keys that were pending each time are delivered here and now, and then compared.
//   4. What differs is written again, with the version of this turn, and looked at again.
// Every document is compared at one position of the copy, that of its turn. Throws IndexError, PgError and Interrupted.
IndexComparison compare_index(Connection& connection, const IndexSettings& settings, const IndexCopy& copy,
                              uint64_t token, const Stop& stop, const ComparisonOptions& options);

}  // namespace anabranch
