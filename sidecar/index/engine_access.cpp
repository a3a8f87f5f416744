#include "sidecar/index/engine_access.hpp"

#include <fmt/format.h>

#include "sidecar/value_file.hpp"

namespace anabranch {
namespace {

template <typename Read>
auto refusing(const char* setting, const Read& read) {
  try {
    return read();
  } catch (const ValueFileError& error) {
    throw IndexError(IndexError::Kind::refused, fmt::format("{}: {}", setting, error.problem()), error.remedy());
  }
}

}  // namespace

NotTrusted::NotTrusted(const std::string& engine, const std::string& reason)
    : IndexError(Kind::refused, fmt::format("{} is not trusted, or does not trust us: {}", engine, reason),
                 "correct url, ca_file, and certificate_file where it asks for one") {}

std::string read_secret(const std::string& path, const char* setting) {
  return path.empty() ? std::string() : refusing(setting, [&] { return read_value_file(path, true); });
}

void check_secret(const std::string& path, const char* setting) {
  if (!path.empty()) refusing(setting, [&] { check_secret_file(path); });
}

}  // namespace anabranch
