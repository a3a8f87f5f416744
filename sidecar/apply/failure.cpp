#include "sidecar/apply/failure.hpp"

#include <string_view>

namespace anabranch {

Verdict verdict(const PgError& error) {
  const std::string_view state = error.sqlstate();
  const std::string_view state_class = state.substr(0, 2);
  if (state == "AN001") return Verdict::fenced;
  if (error.connection_lost()) return Verdict::reconnect;
  // 08: connection. 53: disk full, out of memory, too many connections. 57P: shutdown, crash, cannot connect now. 58:
  // I/O.
  if (state_class == "08" || state_class == "53" || state_class == "58" || state.substr(0, 3) == "57P") {
    return Verdict::reconnect;
  }
  // Serialization failure, deadlock, cancelled by somebody; an expression of the copy that ran out of memory or disk.
  if (state == "40001" || state == "40P01" || state == "57014" || state == "AN008") return Verdict::retry;
  if (state == "55P03") return Verdict::locked;
  if (state == "AN003" || state == "AN004") return Verdict::stale;
  return Verdict::failed;
}

bool may_pass(Verdict verdict) {
  return verdict == Verdict::reconnect || verdict == Verdict::retry || verdict == Verdict::locked;
}

std::string in_words(const PgError& error) {
  std::string words = error.message();
  for (const std::string& more : {error.detail(), error.hint()})
    if (!more.empty()) words += (words.ends_with('.') ? " " : ". ") + more;
  return words;
}

}  // namespace anabranch
