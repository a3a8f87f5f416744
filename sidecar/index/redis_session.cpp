#include "sidecar/index/redis_session.hpp"

#include <optional>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "sidecar/index/engine_access.hpp"
#include "sidecar/index/index.hpp"
#include "sidecar/index/redis_error.hpp"
#include "sidecar/index/redis_functions.hpp"

namespace anabranch {
namespace {

using Kind = IndexError::Kind;

constexpr int version_major_min = 7;

void refuse_old(const RedisConnection& redis) {
  if (redis.version_major() < version_major_min)
    throw IndexError(Kind::refused, fmt::format("Redis at {} is older than {}", redis.where(), version_major_min),
                     "use Redis 7 or later: it needs functions");
}

}  // namespace

std::unique_ptr<RedisConnection> connect_to_redis(const IndexSettings& settings, const Stop& stop,
                                                  const std::function<void(RedisConnection&)>& prepare) {
  std::vector<RedisAddress> addresses;
  for (const auto& url : settings.urls) addresses.push_back(parse_redis_url(url));
  std::optional<IndexError> failure, untrusted;
  for (auto& address : addresses) {
    try {
      auto redis = std::make_unique<RedisConnection>(RedisSessionOptions{.address = std::move(address),
                                                                         .user = settings.user,
                                                                         .password_file = settings.password_file,
                                                                         .tls = settings.tls,
                                                                         .request_timeout = settings.request_timeout},
                                                     stop);
      if (redis->is_replica()) {
        // Of another one, which is down, is told in its place: that passes.
        if (!failure) failure = redis_error("READONLY it is a replica", redis->where());
        continue;
      }
      refuse_old(*redis);
      prepare(*redis);
      return redis;
    } catch (const NotTrusted& error) {
      untrusted = error;
    } catch (const IndexError& error) {
      if (error.kind() != Kind::unreachable) throw;
      failure = error;
    }
  }
  // What one that is not trusted has, somebody has to put right, but another one may be back before.
  if (untrusted && failure && failure->kind() == Kind::unreachable)
    throw IndexError(Kind::unreachable, untrusted->what(), untrusted->remedy());
  if (untrusted) throw IndexError(*untrusted);
  if (failure) throw IndexError(*failure);
  throw IndexError(Kind::refused, "there is no url of a Redis server", "set url");
}

bool has_redis_functions(RedisConnection& redis) {
  const auto libraries = redis.ask({"FUNCTION", "LIST", "LIBRARYNAME", redis_library, "WITHCODE"});
  for (std::size_t i = 0; i < libraries->elements; ++i) {
    const auto& library = *libraries->element[i];
    for (std::size_t j = 0; j + 1 < library.elements; j += 2)
      if (text_of(*library.element[j]) == "library_code" && text_of(*library.element[j + 1]) == redis_functions)
        return true;
  }
  return false;
}

}  // namespace anabranch
