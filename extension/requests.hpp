// Who may ask something of a copy, and how the sidecar learns of it.
#pragma once

#include "extension/postgres.hpp"

namespace anabranch {

/// Raises when an argument is NULL. A STRICT function would do nothing and say nothing of it.
inline void refuse_nulls(FunctionCallInfo fcinfo, const char* function) {
  for (int i = 0; i < fcinfo->nargs; i++)
    if (fcinfo->args[i].isnull)
      ereport(ERROR, (errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
                      errmsg("argument %d of anabranch.%s must not be null", i + 1, function)));
}

/// Raises unless `copy` is one of ours and the current user owns it or is a member of anabranch_operator.
void require_control(Oid copy);

/// Wakes the sidecar when this transaction commits. It looks by itself each second as well.
void tell_sidecar(const char* word);

}  // namespace anabranch
