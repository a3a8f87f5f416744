#include <fmt/format.h>

#include "sidecar/index/index.hpp"
#include "sidecar/index/redis_index.hpp"
#include "sidecar/index/redis_session.hpp"
#include "sidecar/index/search_engine.hpp"
#include "sidecar/index/search_index.hpp"

namespace anabranch {

std::unique_ptr<ExternalIndex> make_index(const IndexSettings& settings, IndexDefinition definition, const Stop& stop) {
  if (settings.kind == IndexSettings::Kind::redis) return make_redis_index(settings, std::move(definition), stop);
  return make_search_index(settings, std::move(definition), stop);
}

std::string describe_engine(const IndexSettings& settings, const Stop& stop) {
  if (settings.kind == IndexSettings::Kind::redis) {
    // What a run does, but that it loads nothing.
    const auto redis = connect_to_redis(settings, stop, [](RedisConnection& found) { has_redis_functions(found); });
    return fmt::format("redis {} at {}", redis->version_major(), redis->where());
  }
  SearchEngine engine(settings, stop);
  engine.connect();
  return fmt::format("{} {} at {}", settings.kind == IndexSettings::Kind::opensearch ? "opensearch" : "elasticsearch",
                     engine.version(), settings.urls.at(engine.node()));
}

}  // namespace anabranch
