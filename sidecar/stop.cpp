#include "sidecar/stop.hpp"

#include <cerrno>
#include <cstdint>
#include <system_error>

#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

namespace anabranch {

Stop::Stop() : descriptor_(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {
  if (descriptor_ < 0) throw std::system_error(errno, std::generic_category(), "eventfd");
}

Stop::~Stop() {
  close(descriptor_);
}

void Stop::request() noexcept {
  requested_.store(true, std::memory_order_release);
  // The counter is never read, so one write makes the descriptor readable for good. errno belongs to whom the signal
  // interrupted.
  const int saved = errno;
  const uint64_t one = 1;
  [[maybe_unused]] const auto written = write(descriptor_, &one, sizeof one);
  errno = saved;
}

bool Stop::wait(std::chrono::milliseconds time) const noexcept {
  pollfd descriptor{descriptor_, POLLIN, 0};
  // A signal ends the wait early: the caller's loop asks again.
  poll(&descriptor, 1, static_cast<int>(time.count()));
  return requested();
}

}  // namespace anabranch
