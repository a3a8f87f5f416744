#pragma once

#include <chrono>
#include <cstddef>

namespace anabranch {

// How large the next batch may be: how long changes gather, and how many rows go into one.
//
// A batch costs something that does not depend on its rows (a commit, a new version of each hot group), and that part
// grows without limit while anybody holds a snapshot, because the old versions then stay. So two measured quantities
// steer:
// - the share of time spent applying, for batches that were closed by time: above `share_high` changes gather longer,
//   below `share_low` shorter. At low load that is the shortest interval, and changes are visible at once.
// - the cost of a row, for batches that were closed by rows (there is a backlog): dearer than the best seen means that
// the
//   part per batch has grown, so batches become larger; otherwise their duration is kept near a quarter of the longest
//   interval.
//
// Not thread safe; one per applier.
class BatchSizer {
 public:
  using Duration = std::chrono::microseconds;

  struct Limits {
    Duration interval_min{1'000};
    Duration interval_max{1'000'000};
    std::size_t rows_min = 1'000;
    std::size_t rows_max = 200'000;
  };

  // What one batch took. `elapsed` counts from the start of the batch before to the start of this one.
  struct Sample {
    std::size_t rows = 0;
    Duration busy{0};
    Duration elapsed{0};
    bool full = false;  // closed because it had rows() rows
  };

  explicit BatchSizer(Limits limits);

  Duration interval() const { return interval_; }
  std::size_t rows() const { return rows_; }

  // Cost of a row in the last batch over the best cost seen lately; 1 when nothing is known.
  double cost_ratio() const { return cost_ratio_; }

  void record(const Sample& sample);

  // New limits from a reloaded configuration; the current sizes are moved into them.
  void set_limits(Limits limits);

 private:
  void record_cost(const Sample& sample);

  Limits limits_;
  Duration interval_;
  std::size_t rows_;
  double best_cost_us_ = 0;  // microseconds a row; 0: not known yet
  double cost_ratio_ = 1;
};

}  // namespace anabranch
