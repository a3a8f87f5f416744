// Passwords, tokens and other values that the settings file names a file for.
#pragma once

#include <stdexcept>
#include <string>

namespace anabranch {

// A file that is refused. Neither text holds what is in it.
class ValueFileError : public std::runtime_error {
 public:
  ValueFileError(std::string problem, std::string remedy);
  const std::string& problem() const { return problem_; }
  const std::string& remedy() const { return remedy_; }

 private:
  std::string problem_, remedy_;
};

// What a file of at most 64 KB holds, less one newline at its end. A secret's file may be readable by its owner alone,
// or by a group where root owns it. Throws ValueFileError for a file that is not so or cannot be read.
std::string read_value_file(const std::string& path, bool secret);
// That read_value_file() would not refuse a secret there for whose it is.
void check_secret_file(const std::string& path);

}  // namespace anabranch
