#include "sidecar/index/url_place.hpp"

#include <charconv>
#include <limits>
#include <stdexcept>

#include <fmt/format.h>

namespace anabranch {
namespace {

constexpr auto port_max = std::numeric_limits<uint16_t>::max();

bool is_host(std::string_view host) {
  const bool address = host.size() > 2 && host.front() == '[' && host.back() == ']';  // of IPv6
  if (address) host = host.substr(1, host.size() - 2);
  const std::string_view known =
      address ? "0123456789abcdefABCDEF:." : "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ.-_";
  return !host.empty() && host.find_first_not_of(known) == std::string_view::npos;
}

}  // namespace

UrlPlace parse_url_place(std::string_view text) {
  UrlPlace place;
  const auto authority = text.substr(0, text.find('/'));
  place.path = text.substr(authority.size());
  const auto colon = authority.rfind(':');
  const bool has_port = colon != std::string_view::npos && !authority.ends_with(']');
  place.host = authority.substr(0, has_port ? colon : authority.size());
  if (!is_host(place.host)) throw std::invalid_argument("names no host");
  if (has_port) {
    const auto digits = authority.substr(colon + 1);
    uint16_t port = 0;
    const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), port);
    if (error != std::errc() || end != digits.data() + digits.size() || port == 0)
      throw std::invalid_argument(fmt::format("has a port that is no number from 1 to {}", port_max));
    place.port = port;
  }
  return place;
}

}  // namespace anabranch
