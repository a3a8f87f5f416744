// The SQLSTATEs of our own, class AN. They are part of the interface: docs/operations.md lists them with their
// remedies.
#pragma once

#include "extension/postgres.hpp"

namespace anabranch {

// A newer sidecar has started.
inline constexpr int kFenced = MAKE_SQLSTATE('A', 'N', '0', '0', '1');
// The copy is not in a state for this.
inline constexpr int kWrongState = MAKE_SQLSTATE('A', 'N', '0', '0', '2');
// A change does not tell which row it was.
inline constexpr int kUnidentifiable = MAKE_SQLSTATE('A', 'N', '0', '0', '3');
// The definition no longer fits its source.
inline constexpr int kStale = MAKE_SQLSTATE('A', 'N', '0', '0', '4');
// What must hold does not, such as a negative count.
inline constexpr int kInconsistent = MAKE_SQLSTATE('A', 'N', '0', '0', '5');
// Older than the reader allows.
inline constexpr int kNotFresh = MAKE_SQLSTATE('A', 'N', '0', '0', '6');
// Waited as long as the reader allows.
inline constexpr int kWaitTimeout = MAKE_SQLSTATE('A', 'N', '0', '0', '7');
// An expression of the copy ran out of memory or disk.
inline constexpr int kResources = MAKE_SQLSTATE('A', 'N', '0', '0', '8');

}  // namespace anabranch
