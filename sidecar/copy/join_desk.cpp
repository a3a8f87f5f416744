#include "sidecar/copy/join_desk.hpp"

#include <algorithm>
#include <chrono>

namespace anabranch {
namespace {

// A Stop cannot notify a condition variable, so it is looked at this often.
constexpr std::chrono::milliseconds stop_check_interval{50};

}  // namespace

void JoinDesk::publish(Lsn position) {
  const std::lock_guard lock(mutex_);
  position_ = position;
}

Lsn JoinDesk::position() const {
  const std::lock_guard lock(mutex_);
  return position_;
}

std::deque<JoinDesk::Open>::iterator JoinDesk::find(uint32_t copy) {
  return std::find_if(open_.begin(), open_.end(), [&](const Open& open) { return open.request.copy == copy; });
}

JoinDesk::Answer JoinDesk::ask(const Request& request, const Stop& stop) {
  std::unique_lock lock(mutex_);
  open_.push_back(Open{request, false, std::nullopt});
  while (!find(request.copy)->answer) {
    if (stop.requested()) {
      open_.erase(find(request.copy));
      throw Interrupted();
    }
    changed_.wait_for(lock, stop_check_interval);
  }
  const auto mine = find(request.copy);
  const Answer answer = *mine->answer;
  open_.erase(mine);
  return answer;
}

std::optional<JoinDesk::Request> JoinDesk::next() {
  const std::lock_guard lock(mutex_);
  for (Open& open : open_) {
    if (open.taken) continue;
    open.taken = true;
    return open.request;
  }
  return std::nullopt;
}

void JoinDesk::answer(uint32_t copy, Answer answer) {
  {
    const std::lock_guard lock(mutex_);
    if (const auto open = find(copy); open != open_.end()) open->answer = answer;
  }
  changed_.notify_all();
}

}  // namespace anabranch
