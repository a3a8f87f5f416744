// Host and port in the url of an engine.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

namespace anabranch {

struct UrlPlace {
  std::string_view host;  // of IPv6 with its brackets
  std::optional<uint16_t> port;
  std::string_view path;  // with the "/" it begins with, or empty
};

// Of what follows "://"; views into `text`. Throws std::invalid_argument, as in "names no host", without any of `text`,
// which may hold a password.
UrlPlace parse_url_place(std::string_view text);

}  // namespace anabranch
