// anabranch audit: whether the topics hold what they must.
#pragma once

#include "sidecar/cli/settings.hpp"

namespace anabranch {

// Reads all topics of the source as they are now and prints how it goes, then the verdict, to stdout. Exit code: 0
// whole, 1 the first violation is printed, 3 the topics could not be read. Needs no database.
int audit(const Settings& settings);

}  // namespace anabranch
