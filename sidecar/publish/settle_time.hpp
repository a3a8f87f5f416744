// How long after a commit the next Kafka transaction begins. The brokers go on marking partitions after they have
// answered a commit, and refuse a transaction that begins meanwhile, which librdkafka tries again 20 ms later. How long
// they mark is theirs to know: begin a little earlier each time, and step back when that was too early.
#pragma once

#include <algorithm>
#include <chrono>

namespace anabranch {

class SettleTime {
 public:
  static constexpr std::chrono::microseconds min{1'000}, max{12'000}, first{4'000};

  std::chrono::microseconds value() const { return value_; }

  // A transaction that had waited so long was begun. A refusal moves it two hundred times as far as a success, so about
  // one of two hundred is refused.
  void begun(bool too_early) { value_ = std::clamp(value_ + (too_early ? step_back : -step), min, max); }

 private:
  static constexpr std::chrono::microseconds step{10}, step_back{2'000};

  std::chrono::microseconds value_ = first;
};

}  // namespace anabranch
