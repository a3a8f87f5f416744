#include "sidecar/cli/config_file.hpp"

#include "sidecar/cli/config.hpp"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

namespace anabranch {
namespace {

constexpr size_t file_bytes_max = size_t{1} << 20;

class Descriptor {
 public:
  explicit Descriptor(int number) : number_(number) {}
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  ~Descriptor() {
    if (number_ >= 0) close(number_);
  }
  int number() const { return number_; }

 private:
  int number_;
};

[[noreturn]] void refuse(const std::string& path, std::string problem, std::string remedy, size_t line = 0) {
  throw ConfigError(path, {{line, line == 0 ? size_t{0} : size_t{1}, "", std::move(problem), std::move(remedy)}});
}

[[noreturn]] void refuse_unreadable(const std::string& path, int error) {
  const auto problem = fmt::format("cannot be read: {}", std::strerror(error));
  switch (error) {
    case ENOENT:
      refuse(path, problem, "name an existing file with --config, or leave --config out");
    case EACCES:
      refuse(path, problem, "let the user that runs anabranch read it, as in: chown USER FILE; chmod 600 FILE");
    case ELOOP:
      refuse(path, problem, "its symbolic links lead in a circle: name the file itself");
    default:
      refuse(path, problem, "name a file that can be read");
  }
}

}  // namespace

ConfigFile read_config_file(const std::string& path) {
  if (path.empty() || path.find('\0') != std::string::npos)
    refuse(path, "is no file name", "name a file with --config");
  // Without O_NONBLOCK a FIFO would hold the program until someone writes to it.
  const Descriptor file(open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK));
  if (file.number() < 0) refuse_unreadable(path, errno);
  struct stat status {};
  if (fstat(file.number(), &status) != 0) refuse_unreadable(path, errno);
  if (!S_ISREG(status.st_mode))
    refuse(path, S_ISDIR(status.st_mode) ? "is a directory" : "is no regular file", "name a file of TOML text");
  if ((status.st_mode & S_IWOTH) != 0)
    refuse(path, "can be written by every user of this machine, who could send the program elsewhere",
           "take that right away: chmod o-w FILE");

  ConfigFile read;
  // Like a server's key file: a group may read it where root owns it, so that a package can ship it.
  const mode_t others = status.st_uid == 0 ? S_IRWXO : S_IRWXO | S_IRWXG;
  read.readable_by_others = (status.st_mode & others) != 0;
  // One byte more than is allowed tells a file that is too large, however it grows meanwhile.
  read.text.resize(file_bytes_max + 1);
  size_t filled = 0;
  while (filled < read.text.size()) {
    const ssize_t count = ::read(file.number(), read.text.data() + filled, read.text.size() - filled);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) refuse_unreadable(path, errno);
    if (count == 0) break;
    filled += static_cast<size_t>(count);
  }
  if (filled > file_bytes_max) refuse(path, "is larger than 1 MB", "name a file of settings");
  read.text.resize(filled);

  if (read.text.starts_with("\xef\xbb\xbf"))
    refuse(path, "begins with a byte order mark", "save it as UTF-8 without one", 1);
  if (read.text.starts_with("\xff\xfe") || read.text.starts_with("\xfe\xff"))
    refuse(path, "is UTF-16", "save it as UTF-8", 1);
  if (const auto nul = read.text.find('\0'); nul != std::string::npos) {
    const auto line = 1 + std::count(read.text.begin(), read.text.begin() + static_cast<std::ptrdiff_t>(nul), '\n');
    refuse(path, "holds a NUL byte", "save it as plain text in UTF-8", static_cast<size_t>(line));
  }
  return read;
}

}  // namespace anabranch
