// Who may ask something of a copy, and how the sidecar learns of it.
#pragma once

#include "extension/postgres.hpp"

namespace anabranch {

/// Raises unless `copy` is one of ours and the current user owns it or is a member of anabranch_operator.
void require_control(Oid copy);

/// Wakes the sidecar when this transaction commits. It looks by itself each second as well.
void tell_sidecar(const char* word);

}  // namespace anabranch
