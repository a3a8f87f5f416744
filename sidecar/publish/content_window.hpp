// Which rows of a table went into the topics while a chunk of it was being read, and what they make of it.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "sidecar/log/change_log.hpp"
#include "sidecar/pg/snapshot.hpp"
#include "sidecar/publish/format.hpp"

namespace anabranch {

class ContentWindow {
 public:
  ContentWindow(uint32_t relation, size_t bytes_max) : relation_(relation), bytes_max_(bytes_max) {}

  uint32_t relation() const { return relation_; }

  // A record of the table, under its key. `key_shape`: tells which columns make the key.
  void touch(uint64_t xid, const PublishedChange& change, std::string_view key, uint64_t key_shape);
  // Rows that are not known changed: a truncation.
  void touch_all(uint64_t xid) { voided_by_.push_back(xid); }

  // More is remembered than may be: the chunk has to be a smaller one.
  bool overflown() const { return bytes_ > bytes_max_; }

  // Whether a chunk read under this snapshot, with keys of this shape, can be judged by keys at all.
  bool can_judge(const Snapshot& snapshot, uint64_t key_shape) const;

  enum class Verdict {
    stands,   // as it was read
    dropped,  // what the topics hold of it is newer, and whole
    merged    // newer, but without values that did not change: `row` and `gaps` are now the row as it has become
  };
  Verdict judge(const Snapshot& snapshot, std::string_view key, std::string& row, std::vector<Gap>& gaps) const;

 private:
  struct Touch {
    uint64_t xid = 0;
    bool partial = false;             // an update without values that did not change:
    std::string after;                // its row,
    std::vector<uint32_t> unchanged;  // and the columns that it lacks
  };

  const uint32_t relation_;
  const size_t bytes_max_;
  size_t bytes_ = 0;
  std::unordered_map<std::string, std::vector<Touch>> touches_;  // by key, in the order of commits
  std::vector<uint64_t> voided_by_;
  std::vector<std::pair<uint64_t, uint64_t>> shapes_;  // key shapes, and the last transaction with each
};

}  // namespace anabranch
