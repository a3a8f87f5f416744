#include <fmt/format.h>

#include "sidecar/index/index.hpp"
#include "sidecar/index/redis_address.hpp"
#include "sidecar/index/redis_connection.hpp"
#include "sidecar/index/redis_index.hpp"
#include "sidecar/index/search_engine.hpp"
#include "sidecar/index/search_index.hpp"

namespace anabranch {
namespace {

// Options that mean nothing to the kind of engine are a misunderstanding.
void refuse_options(const IndexDefinition& definition, std::initializer_list<const char*> names, const char* kind) {
  for (const char* name : names)
    if (definition.options.contains(name))
      throw IndexError(IndexError::Kind::refused, fmt::format("the option \"{}\" means nothing to {}", name, kind),
                       "leave it out with anabranch.alter_index, or name an engine of another kind");
}

}  // namespace

std::unique_ptr<ExternalIndex> make_index(const IndexSettings& settings, IndexDefinition definition, const Stop& stop) {
  if (settings.kind == IndexSettings::Kind::redis) {
    refuse_options(definition, {"mapping", "settings"}, "Redis");
    return make_redis_index(settings, std::move(definition), stop);
  }
  if (definition.options.value("shape", "json") == "json") definition.options.erase("shape");
  refuse_options(definition, {"shape", "key", "member", "score", "ttl", "slot"}, "a search engine");
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
