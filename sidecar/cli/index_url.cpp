#include "sidecar/cli/index_url.hpp"

#include <algorithm>
#include <charconv>
#include <optional>
#include <string_view>

#include <fmt/format.h>

#include "sidecar/cli/config_values.hpp"

namespace anabranch {
namespace {

constexpr uint32_t port_max = 65'535;
constexpr uint32_t redis_port = 6379;
constexpr uint32_t redis_database_max = 65'535;
constexpr size_t socket_path_bytes_max = 107;  // what an address of the kernel's holds

constexpr std::string_view unix_scheme = "unix://";
constexpr std::string_view redis_remedy = "write redis://HOST:PORT/DATABASE, or unix:///PATH of its socket";
constexpr std::string_view search_remedy = "write https://HOST:PORT of a node, or http://HOST:PORT";

// Whether all of it may stand in a URL as it is; "?" and "#" may, but mean nothing to us.
bool is_plain(std::string_view text) {
  constexpr std::string_view others = "\"#<>?\\^`{|}";
  return std::all_of(text.begin(), text.end(),
                     [&](char c) { return c > ' ' && c <= '~' && others.find(c) == std::string_view::npos; });
}

std::optional<uint32_t> number_in(std::string_view digits, uint32_t most) {
  uint32_t number = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), number);
  if (digits.empty() || error != std::errc{} || end != digits.data() + digits.size() || number > most)
    return std::nullopt;
  return number;
}

bool is_host(std::string_view host) {
  const bool address = host.size() > 2 && host.front() == '[' && host.back() == ']';  // of IPv6
  if (address) host = host.substr(1, host.size() - 2);
  const std::string_view known =
      address ? "0123456789abcdefABCDEF:." : "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ.-_";
  return !host.empty() && host.find_first_not_of(known) == std::string_view::npos;
}

struct Place {
  std::string_view host;
  std::optional<uint32_t> port;
  std::string_view path;  // with the "/" it begins with, or empty
};

// What follows "://".
Place place_of(std::string_view text, std::string_view remedy) {
  Place place;
  const auto authority = text.substr(0, text.find('/'));
  place.path = text.substr(authority.size());
  const auto colon = authority.rfind(':');
  const bool has_port = colon != std::string_view::npos && !authority.ends_with(']');
  place.host = authority.substr(0, has_port ? colon : authority.size());
  if (!is_host(place.host)) throw Refusal{"names no host", std::string(remedy)};
  if (has_port) {
    place.port = number_in(authority.substr(colon + 1), port_max);
    if (!place.port || *place.port == 0)
      throw Refusal{fmt::format("has a port that is no number from 1 to {}", port_max), std::string(remedy)};
  }
  return place;
}

std::string search_url(std::string_view text) {
  const std::string remedy(search_remedy);
  const auto scheme = text.substr(0, text.find("://"));
  if (scheme != "http" && scheme != "https") throw Refusal{"begins with neither https:// nor http://", remedy};
  if (!is_plain(text)) throw Refusal{"holds characters that no address of a search engine has", remedy};
  place_of(text.substr(scheme.size() + 3), remedy);
  while (text.ends_with('/')) text.remove_suffix(1);
  return std::string(text);
}

std::string socket_url(std::string_view text) {
  const auto path = text.substr(unix_scheme.size());
  if (!path.starts_with('/') || path.ends_with('/')) throw Refusal{"names no socket", std::string(redis_remedy)};
  if (path.size() > socket_path_bytes_max)
    throw Refusal{fmt::format("is longer than the {} bytes that a socket's path may have", socket_path_bytes_max),
                  "name a shorter symbolic link to its directory"};
  return std::string(text);
}

std::string redis_url(std::string_view text) {
  const std::string remedy(redis_remedy);
  if (text.starts_with("rediss://"))
    throw Refusal{"asks for TLS, and this build speaks no TLS to Redis", "use stunnel or a local proxy"};
  if (text.starts_with(unix_scheme)) return socket_url(text);
  constexpr std::string_view scheme = "redis://";
  if (!text.starts_with(scheme)) throw Refusal{"begins with neither redis:// nor unix://", remedy};
  const auto [host, port, path] = place_of(text.substr(scheme.size()), remedy);
  std::optional<uint32_t> database = 0;
  if (path.size() > 1) database = number_in(path.substr(1), redis_database_max);
  if (!database)
    throw Refusal{fmt::format("has a database that is no number from 0 to {}", redis_database_max), remedy};
  return fmt::format("redis://{}:{}/{}", host, port.value_or(redis_port), *database);
}

}  // namespace

bool holds_credentials(const std::string& text) {
  return text.find('@') != std::string::npos && !text.starts_with(unix_scheme);
}

std::string index_url(IndexSettings::Kind kind, const std::string& text) {
  return kind == IndexSettings::Kind::redis ? redis_url(text) : search_url(text);
}

}  // namespace anabranch
