// Changed rows that wait for the last part of their batch.
//
// A group costs the same to merge whether one row of a batch touched it or a thousand, and while somebody holds a
// snapshot each merge walks every version that earlier ones left. So the parts of a large batch are gathered, and
// folded and merged once, at its end.
//
// Lifecycle: gather() opens them for a copy; they live in the transaction's memory, and in temporary files beyond
// work_mem, until the copy's next apply() in the same transaction has taken them. A transaction that would commit
// without them is refused; one that is rolled back forgets them.
#pragma once

#include "extension/changes.hpp"

namespace anabranch {

/// What was gathered for the copy in this transaction; nullptr: nothing. Raises serialization_failure when rows of its
/// sources look different since.
Changes* find_gathered(Copy* copy);

/// The same, opened when there is nothing yet. Raises in a subtransaction: its end could not be told from the
/// transaction's.
Changes* open_gathered(Copy* copy);

/// Forgets what was gathered, after it has been applied.
void close_gathered(Changes* changes);

}  // namespace anabranch
