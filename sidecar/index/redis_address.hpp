// Where a Redis server is, as an url of the settings says it.
#pragma once

#include <string>
#include <string_view>

namespace anabranch {

struct RedisAddress {
  std::string host;  // name or address; empty: there is a path
  int port = 6379;
  std::string path;  // of a Unix socket
  int database = 0;

  // As messages name it: "127.0.0.1:6379", "[::1]:6379" or "/run/redis.sock".
  std::string text() const;

  bool operator==(const RedisAddress&) const = default;
};

// Reads redis://host:port/database (port and database may be left out) or unix:///path?db=N. Throws IndexError
// (refused) for anything else, without its text, which may hold a password.
RedisAddress parse_redis_url(std::string_view url);

}  // namespace anabranch
