// What an engine is asked with, and what is said where one side does not trust the other.
#pragma once

#include <string>

#include "sidecar/index/index.hpp"

namespace anabranch {

// Of certificates. A refusal.
class NotTrusted : public IndexError {
 public:
  // `engine`: as in "Redis at 127.0.0.1:6379"; `reason`: of a StreamError or HttpError.
  NotTrusted(const std::string& engine, const std::string& reason);
};

// What the file of a setting of an [index.NAME] holds; empty without one. Throws IndexError (refused) as
// read_value_file() refuses a secret.
std::string read_secret(const std::string& path, const char* setting);
// That the file could be read so: for one that somebody else reads.
void check_secret(const std::string& path, const char* setting);

}  // namespace anabranch
