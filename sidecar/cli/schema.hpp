// `anabranch schema TABLE`.
#pragma once

#include "sidecar/cli/command_line.hpp"

namespace anabranch {

// Prints what anabranch.proto_schema says of the table, and nothing else, so that it can be redirected to a file.
// Returns the exit code: 0, or 1 with a finding on stderr where there is no such table or no extension.
int schema(const Settings& settings, const SchemaOptions& options);

}  // namespace anabranch
