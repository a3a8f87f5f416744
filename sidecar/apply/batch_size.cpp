#include "sidecar/apply/batch_size.hpp"

#include <algorithm>

namespace anabranch {
namespace {

// What is seen late is half an interval and a batch: the higher the share, the sooner, and the more a machine whose
// writers want all of it gives to small batches. Measured beside them (bench/latency, bench/writers, two cores): 0.35
// and 0.2 doubled the median, 0.6 and 0.4 took a sixth from the writers.
constexpr double share_high = 0.5;
constexpr double share_low = 0.3;
constexpr double grow = 1.5;
constexpr double shrink = 0.7;
constexpr double cost_ratio_dear = 1.25;
// Below this a batch says nothing about the cost of a row.
constexpr std::size_t rows_telling = 1'000;
// The best cost is forgotten slowly, or one lucky batch would make all later ones look dear.
constexpr double best_cost_decay = 1.002;
constexpr std::size_t rows_at_start = 20'000;

}  // namespace

BatchSizer::BatchSizer(Limits limits) : interval_(limits.interval_min), rows_(rows_at_start) {
  set_limits(limits);
}

void BatchSizer::set_limits(Limits limits) {
  limits.interval_max = std::max(limits.interval_max, limits.interval_min);
  limits.rows_max = std::max(limits.rows_max, limits.rows_min);
  limits_ = limits;
  interval_ = std::clamp(interval_, limits_.interval_min, limits_.interval_max);
  rows_ = std::clamp(rows_, limits_.rows_min, limits_.rows_max);
}

void BatchSizer::record(const Sample& sample) {
  record_cost(sample);
  double factor = 1;
  if (sample.full) {
    if (cost_ratio_ > cost_ratio_dear || sample.busy < limits_.interval_max / 4) {
      factor = grow;
    } else if (sample.busy > limits_.interval_max) {
      factor = shrink;
    }
    rows_ =
        std::clamp(static_cast<std::size_t>(static_cast<double>(rows_) * factor), limits_.rows_min, limits_.rows_max);
    return;
  }
  const double elapsed = std::max<double>(1, static_cast<double>(std::max(sample.elapsed, sample.busy).count()));
  const double share = static_cast<double>(sample.busy.count()) / elapsed;
  if (share > share_high) factor = grow;
  if (share < share_low) factor = shrink;
  const auto scaled = static_cast<Duration::rep>(static_cast<double>(interval_.count()) * factor);
  interval_ = std::clamp(Duration{scaled}, limits_.interval_min, limits_.interval_max);
}

void BatchSizer::record_cost(const Sample& sample) {
  if (sample.rows < rows_telling) return;
  const double cost =
      static_cast<double>(std::max<Duration::rep>(1, sample.busy.count())) / static_cast<double>(sample.rows);
  best_cost_us_ = best_cost_us_ == 0 ? cost : std::min(cost, best_cost_us_ * best_cost_decay);
  cost_ratio_ = cost / best_cost_us_;
}

}  // namespace anabranch
