// Places where a test can kill or halt the program. Always compiled in; a place that is not armed costs one branch.
//
// ANABRANCH_FAILPOINT="name" kills the process with SIGKILL when it first comes to failpoint("name"); "name:3" when it
// comes there for the third time; "name:3:halt" halts it there with SIGSTOP, so that the test can kill something else
// before it lets it go on with SIGCONT. The names in use are listed, and each is run through, in test/e2e.
#pragma once

#include <atomic>
#include <charconv>
#include <csignal>
#include <cstdlib>
#include <string_view>

namespace anabranch {

// What ANABRANCH_FAILPOINT asks for: read once, when the program starts.
struct ArmedFailpoint {
  std::string_view name;          // empty: none
  std::atomic<int> remaining{1};  // passes left, this one included
  int signal = SIGKILL;

  explicit ArmedFailpoint(const char* setting) {
    if (setting == nullptr) return;
    name = setting;
    if (name.ends_with(":halt")) {
      name.remove_suffix(5);
      signal = SIGSTOP;
    }
    if (const size_t colon = name.rfind(':'); colon != name.npos) {
      int count = 1;
      std::from_chars(name.data() + colon + 1, name.data() + name.size(), count);
      remaining = count;
      name = name.substr(0, colon);
    }
  }
  bool hit(std::string_view place) { return place == name && remaining.fetch_sub(1) == 1; }
};

inline ArmedFailpoint armed_failpoint(std::getenv("ANABRANCH_FAILPOINT"));

// Dies or halts here, with all threads, if this place is armed.
inline void failpoint(std::string_view place) {
  if (armed_failpoint.name.empty()) [[likely]]
    return;
  if (armed_failpoint.hit(place) && std::raise(armed_failpoint.signal) != 0) std::abort();
}

}  // namespace anabranch
