// Which transactions a snapshot of PostgreSQL shows.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace anabranch {

// What pg_current_snapshot() returned: immutable, comparable only with 64-bit transaction ids of the same cluster.
class Snapshot {
 public:
  // Parses pg_snapshot's text, "xmin:xmax:xip,xip,...". Throws std::invalid_argument when it is not one.
  static Snapshot parse(std::string_view text);

  // Whether the effects of the committed top-level transaction `xid` are visible. An aborted one counts as visible, as
  // in pg_visible_in_snapshot(): the caller asks for transactions that the decoder has sent, and those have committed.
  // 0 (a unit that has no transaction) is always visible.
  bool visible(uint64_t xid) const;

  uint64_t xmin() const { return xmin_; }
  uint64_t xmax() const { return xmax_; }
  std::string to_string() const;

 private:
  uint64_t xmin_ = 0;
  uint64_t xmax_ = 0;
  std::vector<uint64_t> in_progress_;  // ascending, within [xmin, xmax)
};

}  // namespace anabranch
