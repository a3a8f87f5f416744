#include <fmt/format.h>

#include "sidecar/index/index.hpp"
#include "sidecar/index/redis_address.hpp"
#include "sidecar/index/redis_connection.hpp"
#include "sidecar/index/redis_index.hpp"
#include "sidecar/index/search_engine.hpp"
#include "sidecar/index/search_index.hpp"

namespace anabranch {

std::unique_ptr<ExternalIndex> make_index(const IndexSettings& settings, IndexDefinition definition, const Stop& stop) {
  if (settings.kind == IndexSettings::Kind::redis) return make_redis_index(settings, std::move(definition), stop);
  return make_search_index(settings, std::move(definition), stop);
}

std::string describe_engine(const IndexSettings& settings, const Stop& stop) {
  if (settings.kind == IndexSettings::Kind::redis) {
    RedisSessionOptions options;
    options.address = parse_redis_url(settings.urls.front());
    options.user = settings.user;
    options.password_file = settings.password_file;
    const RedisConnection redis(std::move(options), stop);
    return fmt::format("redis {} at {}", redis.version_major(), redis.where());
  }
  SearchEngine engine(settings, stop);
  engine.connect();
  const nlohmann::json root = engine.ask("GET", "/");
  return fmt::format("{} {} at {}", settings.kind == IndexSettings::Kind::opensearch ? "opensearch" : "elasticsearch",
                     root["version"]["number"].get<std::string>(), settings.urls.at(engine.node()));
}

}  // namespace anabranch
