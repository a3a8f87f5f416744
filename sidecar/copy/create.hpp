// Fills a new copy, and brings one that fell behind level, while the others go on.
#pragma once

#include "sidecar/apply/session.hpp"
#include "sidecar/copy/worker_context.hpp"

namespace anabranch {

// Brings one copy from the state `waiting`, `filling` or `catching_up` to `live`, or sets it aside when its own
// statements fail; goes on where an earlier worker was cut off. Throws Interrupted when stopped, PgError and LogError
// when something fails that is not the copy's fault: call it again after a pause.
void create_copy(const WorkerContext& context, const CopyRow& copy);

}  // namespace anabranch
