// Tombstones of a search engine: how they are found, and when they may go.
#pragma once

#include <chrono>
#include <deque>
#include <optional>
#include <utility>

#include <nlohmann/json.hpp>

#include "sidecar/index/index.hpp"

namespace anabranch {

// A deletion is written as a document without content, whose version refuses writes that come late. Nothing comes later
// than an hour: what was deleted before that may go, now and then. Remembers which versions were written when; another
// process begins anew, and waits for an hour.
class TombstonePurge {
 public:
  using Clock = std::chrono::steady_clock;
  static constexpr std::chrono::minutes kept{60};
  static constexpr std::chrono::minutes interval{10};

  void written(IndexVersion version, Clock::time_point now);
  // Tombstones of lower versions may go; nullopt: none, or it is not time yet. Told once.
  std::optional<IndexVersion> due(Clock::time_point now);

 private:
  static constexpr std::chrono::minutes spacing{1};
  std::deque<std::pair<Clock::time_point, IndexVersion>> writes_;  // one of each minute
  std::optional<Clock::time_point> last_;
};

// Queries that find tombstones of versions before `version`, and what is no tombstone.
nlohmann::json tombstones_before(IndexVersion version);
nlohmann::json no_tombstones();

}  // namespace anabranch
