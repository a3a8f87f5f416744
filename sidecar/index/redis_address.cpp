#include "sidecar/index/redis_address.hpp"

#include <charconv>
#include <stdexcept>

#include <fmt/format.h>

#include "sidecar/index/url_place.hpp"

namespace anabranch {
namespace {

constexpr std::string_view tcp_scheme = "redis://", unix_scheme = "unix://", tls_scheme = "rediss://";
constexpr std::string_view database_option = "?db=";
constexpr int database_max = 65'535;
constexpr std::size_t socket_path_bytes_max = 107;  // what an address of the kernel's holds

[[noreturn]] void refuse(
    const std::string& problem,
    const std::string& remedy =
        "write redis://HOST:PORT/DATABASE, with TLS rediss://..., or unix:///PATH?db=DATABASE of its socket") {
  throw RedisUrlError(problem, remedy);
}

int database_of(std::string_view text) {
  int value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size() || value < 0 || value > database_max)
    refuse(fmt::format("has a database that is no number from 0 to {}", database_max));
  return value;
}

RedisAddress unix_address(std::string_view rest) {
  RedisAddress address;
  const auto option = rest.find('?');
  address.path = rest.substr(0, option);
  if (!address.path.starts_with('/') || address.path.ends_with('/')) refuse("names no socket");
  if (address.path.size() > socket_path_bytes_max)
    refuse(fmt::format("is longer than the {} bytes that a socket's path may have", socket_path_bytes_max),
           "name a shorter symbolic link to its directory");
  if (option == std::string_view::npos) return address;
  if (!rest.substr(option).starts_with(database_option)) refuse("has an option other than \"db\"");
  address.database = database_of(rest.substr(option + database_option.size()));
  return address;
}

RedisAddress tcp_address(std::string_view rest) {
  if (rest.find('@') != std::string_view::npos)
    refuse("has a user or a password in it", "put them into the settings user and password_file");
  RedisAddress address;
  try {
    auto [host, port, path] = parse_url_place(rest);
    if (host.starts_with('[')) host = host.substr(1, host.size() - 2);
    address.host = host;
    if (port) address.port = *port;
    if (path.size() > 1) address.database = database_of(path.substr(1));
  } catch (const std::invalid_argument& error) {
    refuse(error.what());
  }
  return address;
}

}  // namespace

std::string RedisAddress::text() const {
  if (host.empty()) return path;
  const bool is_v6 = host.find(':') != std::string::npos;
  return is_v6 ? fmt::format("[{}]:{}", host, port) : fmt::format("{}:{}", host, port);
}

std::string RedisAddress::url() const {
  if (!host.empty()) return fmt::format("{}{}/{}", tls ? tls_scheme : tcp_scheme, text(), database);
  return database == 0 ? fmt::format("{}{}", unix_scheme, path)
                       : fmt::format("{}{}{}{}", unix_scheme, path, database_option, database);
}

RedisAddress parse_redis_url(std::string_view url) {
  if (url.starts_with(unix_scheme)) return unix_address(url.substr(unix_scheme.size()));
  if (url.starts_with(tcp_scheme)) return tcp_address(url.substr(tcp_scheme.size()));
  if (!url.starts_with(tls_scheme)) refuse("begins with none of redis://, rediss:// and unix://");
  RedisAddress address = tcp_address(url.substr(tls_scheme.size()));
  address.tls = true;
  return address;
}

}  // namespace anabranch
