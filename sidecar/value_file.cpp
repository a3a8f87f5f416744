#include "sidecar/value_file.hpp"

#include <cerrno>
#include <cstddef>
#include <cstdio>
#include <cstring>
#include <memory>
#include <utility>

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

namespace anabranch {
namespace {

constexpr std::size_t file_bytes_max = std::size_t{64} << 10;

using File = std::unique_ptr<FILE, int (*)(FILE*)>;

[[noreturn]] void refuse(const std::string& path, const std::string& problem, std::string remedy) {
  throw ValueFileError(fmt::format("file \"{}\" {}", path, problem), std::move(remedy));
}

File open_checked(const std::string& path, bool secret) {
  // Without O_NONBLOCK a FIFO would hold the program until someone writes to it.
  const int descriptor = open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
  if (descriptor < 0)
    refuse(path, fmt::format("cannot be read: {}", std::strerror(errno)),
           "name a file that the program's user can read");
  File file(fdopen(descriptor, "r"), &fclose);
  struct stat status {};
  if (!file || fstat(descriptor, &status) != 0)
    refuse(path, fmt::format("cannot be read: {}", std::strerror(errno)), "name another file");
  if (!S_ISREG(status.st_mode)) refuse(path, "is no regular file", "name a file that holds the value");
  const mode_t others = status.st_uid == 0 ? S_IRWXO : S_IRWXO | S_IRWXG;
  if (secret && (status.st_mode & others) != 0)
    refuse(path, "holds a secret and can be read by others", "take that right away: chmod 600 FILE");
  return file;
}

}  // namespace

ValueFileError::ValueFileError(std::string problem, std::string remedy)
    : std::runtime_error(fmt::format("{}; {}", problem, remedy)),
      problem_(std::move(problem)),
      remedy_(std::move(remedy)) {}

std::string read_value_file(const std::string& path, bool secret) {
  const File file = open_checked(path, secret);
  std::string text(file_bytes_max + 1, '\0');
  text.resize(fread(text.data(), 1, text.size(), file.get()));
  if (ferror(file.get()) != 0) refuse(path, "cannot be read", "name another file");
  if (text.size() > file_bytes_max)
    refuse(path, "is larger than 64 KB", "name a file that holds the value and no more");
  if (text.find('\0') != std::string::npos) refuse(path, "holds a NUL byte", "save the value as plain text");
  if (text.ends_with('\n')) text.pop_back();
  if (text.ends_with('\r')) text.pop_back();
  return text;
}

void check_secret_file(const std::string& path) {
  open_checked(path, true);
}

}  // namespace anabranch
