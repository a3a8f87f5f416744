// Where a Redis server is, as an url of the settings says it.
#pragma once

#include <string>
#include <string_view>

#include "sidecar/index/index.hpp"

namespace anabranch {

struct RedisAddress {
  std::string host;  // name or address; empty: there is a path
  int port = 6379;
  std::string path;  // of a Unix socket
  int database = 0;
  bool tls = false;

  // As messages name it: "127.0.0.1:6379", "[::1]:6379" or "/run/redis.sock".
  std::string text() const;
  // The whole of it, as parse_redis_url() reads it.
  std::string url() const;

  bool operator==(const RedisAddress&) const = default;
};

// What is wrong with an url, without its text, which may hold a password. A refusal.
class RedisUrlError : public IndexError {
 public:
  RedisUrlError(const std::string& problem, const std::string& remedy)
      : IndexError(Kind::refused, "the url of the Redis server " + problem, remedy), problem_(problem) {}
  // As in "names no host".
  const std::string& problem() const { return problem_; }

 private:
  std::string problem_;
};

// Reads redis://HOST:PORT/DATABASE, or rediss:// for TLS (port and database may be left out), or
// unix:///PATH?db=DATABASE (so may "?db="). The settings file is read by it, too. Throws RedisUrlError for anything
// else.
RedisAddress parse_redis_url(std::string_view url);

}  // namespace anabranch
