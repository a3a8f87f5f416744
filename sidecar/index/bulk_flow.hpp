// How much is sent to a search engine at once.
#pragma once

#include <algorithm>
#include <cstddef>

namespace anabranch {

// One request at a time, of half the size, when the engine asks for less; wider again step by step when it takes what
// it is sent. It begins as wide as it may be.
class BulkFlow {
 public:
  static constexpr std::size_t bytes_floor = 64 << 10;

  // `in_flight_max` is 1 or more.
  BulkFlow(std::size_t bytes_max, int in_flight_max)
      : bytes_max_(bytes_max), in_flight_max_(in_flight_max), bytes_(bytes_max), in_flight_(in_flight_max) {}

  std::size_t bytes() const { return bytes_; }
  int in_flight() const { return in_flight_; }

  // The engine has no room for it now.
  void pushed_back() {
    bytes_ = std::max(bytes_ / 2, std::min(bytes_floor, bytes_max_));
    in_flight_ = 1;
  }
  // It takes no requests of that size, ever.
  void too_large(std::size_t bytes) {
    bytes_max_ = std::max<std::size_t>(bytes / 2, 1);
    bytes_ = std::min(bytes_, bytes_max_);
  }
  // It took one.
  void taken() {
    if (bytes_ < bytes_max_)
      bytes_ = std::min(bytes_max_, bytes_ + std::max<std::size_t>(bytes_max_ / steps, 1));
    else if (in_flight_ < in_flight_max_)
      ++in_flight_;
  }

 private:
  static constexpr std::size_t steps = 8;
  std::size_t bytes_max_;
  int in_flight_max_;
  std::size_t bytes_;
  int in_flight_;
};

}  // namespace anabranch
