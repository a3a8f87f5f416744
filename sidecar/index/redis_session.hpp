// A session with a server of the settings that can keep an index.
#pragma once

#include <functional>
#include <memory>

#include "sidecar/index/redis_connection.hpp"
#include "sidecar/index/settings.hpp"

namespace anabranch {

// Connects to the first server that answers, is no replica, and for which `prepare` returns; one at which that fails as
// unreachable, or that is not trusted, is passed over. Throws IndexError: refused for a url that cannot be understood,
// for a server older than Redis 7, and where all that
// answer are replicas or are not trusted.
std::unique_ptr<RedisConnection> connect_to_redis(const IndexSettings& settings, const Stop& stop,
                                                  const std::function<void(RedisConnection&)>& prepare);

// Whether the server has the library of redis_functions.hpp, word by word.
bool has_redis_functions(RedisConnection& redis);

}  // namespace anabranch
