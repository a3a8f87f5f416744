#include "sidecar/index/redis_address.hpp"

#include <charconv>
#include <climits>
#include <optional>

#include <fmt/format.h>

#include "sidecar/index/index.hpp"

namespace anabranch {
namespace {

constexpr std::string_view tcp_scheme = "redis://", unix_scheme = "unix://", tls_scheme = "rediss://";
constexpr std::string_view database_option = "?db=";
constexpr int port_max = 65'535;

[[noreturn]] void refuse(const std::string& problem,
                         const std::string& remedy = "write it as redis://host:port/database or unix:///path?db=N") {
  throw IndexError(IndexError::Kind::refused, "the url of the Redis server " + problem, remedy);
}

std::optional<int> number(std::string_view text, int max) {
  int value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size() || value < 0 || value > max) return std::nullopt;
  return value;
}

int database_of(std::string_view text) {
  const auto database = number(text, INT_MAX);
  if (!database) refuse("has a database that is no number");
  return *database;
}

RedisAddress unix_address(std::string_view rest) {
  RedisAddress address;
  const auto option = rest.find('?');
  address.path = rest.substr(0, option);
  if (!address.path.starts_with('/')) refuse("has no path that begins with \"/\"");
  if (option == std::string_view::npos) return address;
  if (!rest.substr(option).starts_with(database_option)) refuse("has an option other than \"db\"");
  address.database = database_of(rest.substr(option + database_option.size()));
  return address;
}

RedisAddress tcp_address(std::string_view rest) {
  RedisAddress address;
  if (const auto slash = rest.find('/'); slash != std::string_view::npos) {
    if (const auto database = rest.substr(slash + 1); !database.empty()) address.database = database_of(database);
    rest = rest.substr(0, slash);
  }
  std::string_view port;
  if (rest.starts_with('[')) {
    const auto end = rest.find(']');
    if (end == std::string_view::npos) refuse("has a \"[\" without \"]\"");
    address.host = rest.substr(1, end - 1);
    port = rest.substr(end + 1);
  } else {
    const auto colon = rest.find(':');
    address.host = rest.substr(0, colon);
    if (colon != std::string_view::npos) port = rest.substr(colon);
  }
  if (address.host.empty()) refuse("names no host");
  if (port.empty()) return address;
  const auto value = number(port.substr(1), port_max);
  if (port.front() != ':' || !value || *value == 0) refuse("has no port between 1 and 65535 after its host");
  address.port = *value;
  return address;
}

}  // namespace

std::string RedisAddress::text() const {
  if (host.empty()) return path;
  const bool is_v6 = host.find(':') != std::string::npos;
  return is_v6 ? fmt::format("[{}]:{}", host, port) : fmt::format("{}:{}", host, port);
}

RedisAddress parse_redis_url(std::string_view url) {
  if (url.starts_with(tls_scheme))
    refuse("asks for TLS, which this program does not speak to Redis",
           "let a proxy on this host speak TLS for it (stunnel with client = yes) and write redis://127.0.0.1:port");
  if (url.starts_with(unix_scheme)) return unix_address(url.substr(unix_scheme.size()));
  if (!url.starts_with(tcp_scheme)) refuse("begins with neither redis:// nor unix://");
  const auto rest = url.substr(tcp_scheme.size());
  if (rest.find('@') != std::string_view::npos)
    refuse("has a user or a password in it", "put them into the settings user and password_file");
  return tcp_address(rest);
}

}  // namespace anabranch
