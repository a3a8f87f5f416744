// Waiting longer after each failure in a row.
#pragma once

#include <algorithm>
#include <chrono>

namespace anabranch {

// Delays that double from `delay_min` to `delay_max` and begin again after succeeded().
class Backoff {
 public:
  using Duration = std::chrono::milliseconds;

  constexpr Backoff(Duration delay_min, Duration delay_max) : delay_min_(delay_min), delay_max_(delay_max) {}

  Duration next() {
    const Duration delay = delay_;
    ++failures_;
    delay_ = std::min(delay_ * 2, delay_max_);
    return delay;
  }
  void succeeded() {
    delay_ = delay_min_;
    failures_ = 0;
  }
  int failures() const { return failures_; }

 private:
  Duration delay_min_, delay_max_;
  Duration delay_ = delay_min_;
  int failures_ = 0;
};

}  // namespace anabranch
