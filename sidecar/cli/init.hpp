// `anabranch init`: prepares a server.
#pragma once

#include "sidecar/cli/command_line.hpp"

namespace anabranch {

// Looks at the server, does what is missing and may be done, and prints to stdout what was fine, what it did and what
// remains. Running it again changes nothing that is fine. Returns the exit code: 0 ready, 1 something remains.
int init(const Settings& settings, const InitOptions& options);

// The same as a script for psql, for a superuser to read and run: psql -X -v ON_ERROR_STOP=1 -d DATABASE -f FILE. It
// checks for itself what it finds, may be run again, and needs no server to be made. Everything in it that has a name
// from outside is quoted.
std::string init_script(const Settings& settings, const InitOptions& options);

}  // namespace anabranch
