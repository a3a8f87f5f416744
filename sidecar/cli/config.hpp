// The settings file (TOML). docs/configuration.md lists its keys.
#pragma once

#include "sidecar/cli/settings.hpp"

#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

namespace anabranch {

// One thing wrong in a file. Line and column count from 1; 0 where the file as a whole is meant.
struct Mistake {
  size_t line = 0;
  size_t column = 0;
  std::string key;  // as a path, "source.home.port"; empty where it lies in no key
  std::string problem;
  std::string remedy;
};

// A file that is refused, with all its mistakes. what() has a line for each:
// FILE:LINE:COLUMN: KEY: PROBLEM; REMEDY
class ConfigError : public std::runtime_error {
 public:
  ConfigError(const std::string& path, std::vector<Mistake> mistakes);
  const std::vector<Mistake>& mistakes() const { return mistakes_; }

 private:
  std::vector<Mistake> mistakes_;
};

// Reads the file at `path`. Throws ConfigError for a file that cannot be trusted (no regular file, writable by
// everyone, readable by others although it holds a password), cannot be read, or says anything that is not understood.
Settings read_config(const std::string& path);

// The same from the file's text, without the questions about the file itself; `path` is for messages.
Settings parse_config(std::string_view text, const std::string& path);

}  // namespace anabranch
