// The SQLSTATEs of our own, class AN. They are part of the interface: docs/operations.md lists them with their remedies.
#pragma once

#include "extension/postgres.hpp"

namespace anabranch {

inline constexpr int kFenced = MAKE_SQLSTATE('A', 'N', '0', '0', '1');          // a newer sidecar has started
inline constexpr int kWrongState = MAKE_SQLSTATE('A', 'N', '0', '0', '2');      // the copy is not in a state for this
inline constexpr int kUnidentifiable = MAKE_SQLSTATE('A', 'N', '0', '0', '3');  // a change does not tell which row it was
inline constexpr int kStale = MAKE_SQLSTATE('A', 'N', '0', '0', '4');           // the definition no longer fits its source
inline constexpr int kInconsistent = MAKE_SQLSTATE('A', 'N', '0', '0', '5');    // what must hold does not, such as a negative count
inline constexpr int kNotFresh = MAKE_SQLSTATE('A', 'N', '0', '0', '6');        // older than the reader allows
inline constexpr int kWaitTimeout = MAKE_SQLSTATE('A', 'N', '0', '0', '7');     // waited as long as the reader allows

}  // namespace anabranch
