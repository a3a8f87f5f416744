// The settings file as bytes, and whether it may be trusted with what it says.
#pragma once

#include <string>

namespace anabranch {

struct ConfigFile {
  std::string text;
  // Someone beside the owner can read it: it may hold no password.
  bool readable_by_others = false;
};

// Reads `path` (symbolic links are followed). Throws ConfigError for anything but a regular file of UTF-8 text that
// only its owner, or a group the owner chose, can write.
ConfigFile read_config_file(const std::string& path);

}  // namespace anabranch
