// "anabranch tail": the last transactions in the topics, as people read them.
#pragma once

#include "sidecar/cli/command_line.hpp"
#include "sidecar/cli/settings.hpp"

namespace anabranch {

// Prints them to stdout; with `follow` goes on with those to come, until it is killed. The exit code: 0; 1: the topics
// do not hold what they must; 3: they could not be read.
int tail(const Settings& settings, const TailOptions& options);

}  // namespace anabranch
