#include "sidecar/index/index.hpp"
#include "sidecar/index/redis_index.hpp"
#include "sidecar/index/search_index.hpp"

namespace anabranch {

std::unique_ptr<ExternalIndex> make_index(const IndexSettings& settings, IndexDefinition definition, const Stop& stop) {
  if (settings.kind == IndexSettings::Kind::redis) return make_redis_index(settings, std::move(definition), stop);
  return make_search_index(settings, std::move(definition), stop);
}

}  // namespace anabranch
