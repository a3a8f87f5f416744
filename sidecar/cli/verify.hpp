// `anabranch verify`.
#pragma once

#include "sidecar/cli/command_line.hpp"

namespace anabranch {

// Asks for verifications. With --wait shows how far they are until all have ended, then what each has proved; without
// says how to watch them. Returns the exit code: 0 equal, or all repaired (without --wait: asked for); 1 a copy
// differs; 2 something could not be proved; 3 unknown, or interrupted, which leaves the runs going. Throws PgError
// where no session could be had.
int verify(const Settings& settings, const VerifyOptions& options);

}  // namespace anabranch
