#include "sidecar/cli/index_url.hpp"

#include <algorithm>
#include <stdexcept>
#include <string_view>

#include "sidecar/cli/config_values.hpp"
#include "sidecar/index/redis_address.hpp"
#include "sidecar/index/url_place.hpp"

namespace anabranch {
namespace {

constexpr std::string_view unix_scheme = "unix://";
constexpr std::string_view search_remedy = "write https://HOST:PORT of a node, or http://HOST:PORT";

// Whether all of it may stand in a URL as it is; "?" and "#" may, but mean nothing to us.
bool is_plain(std::string_view text) {
  constexpr std::string_view others = "\"#<>?\\^`{|}";
  return std::all_of(text.begin(), text.end(),
                     [&](char c) { return c > ' ' && c <= '~' && others.find(c) == std::string_view::npos; });
}

std::string search_url(std::string_view text) {
  const std::string remedy(search_remedy);
  const auto scheme = text.substr(0, text.find("://"));
  if (scheme != "http" && scheme != "https") throw Refusal{"begins with neither https:// nor http://", remedy};
  if (!is_plain(text)) throw Refusal{"holds characters that no address of a search engine has", remedy};
  try {
    parse_url_place(text.substr(scheme.size() + 3));
  } catch (const std::invalid_argument& error) {
    throw Refusal{error.what(), remedy};
  }
  while (text.ends_with('/')) text.remove_suffix(1);
  return std::string(text);
}

std::string redis_url(std::string_view text) {
  try {
    return parse_redis_url(text).url();
  } catch (const RedisUrlError& error) {
    throw Refusal{error.problem(), error.remedy()};
  }
}

}  // namespace

bool holds_credentials(const std::string& text) {
  return text.find('@') != std::string::npos && !text.starts_with(unix_scheme);
}

std::string index_url(IndexSettings::Kind kind, const std::string& text) {
  return kind == IndexSettings::Kind::redis ? redis_url(text) : search_url(text);
}

}  // namespace anabranch
