// `anabranch drop`.
#pragma once

#include "sidecar/cli/command_line.hpp"

namespace anabranch {

// Lists what of Anabranch is in the database: copies, slots, publication, origins, the extension. With --yes removes
// it, step by step: a step that fails is reported, and drop may be run again. What init or a sidecar has not made
// stays: a slot of another plugin, a publication without our comment, roles. Returns the exit code: 0 done or listed, 1
// something could not be removed.
int drop(const Settings& settings, const DropOptions& options);

}  // namespace anabranch
