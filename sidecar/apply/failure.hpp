// What a failed statement means for the copy it was for, and for the run: decided here and nowhere else.
#pragma once

#include <string>

#include "sidecar/pg/connection.hpp"

namespace anabranch {

enum class Verdict {
  fenced,     // another sidecar has taken over: end the run
  reconnect,  // the session, the server or its machine has a trouble that is nobody's fault: a new session, after a
              // pause
  retry,      // met somebody else's transaction: the same again
  locked,     // somebody holds the copy's table: the copy goes on by itself, the others without it
  stale,      // the copy does not follow from its sources any more
  failed      // the copy's own statement fails: it is set aside with the error
};

// Of an error raised by apply() of one copy, or by the statements round it (there stale and failed mean that the run
// cannot go on).
Verdict verdict(const PgError& error);

// Whether the same, tried again, may go through: the reason is somebody else's, or the machine's.
bool may_pass(Verdict verdict);

// What the server says, for the one who has to act: message, detail and hint.
std::string in_words(const PgError& error);

}  // namespace anabranch
